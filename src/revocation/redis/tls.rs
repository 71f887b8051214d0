//! TLS to the Redis server, with a provider that is named here and not chosen by other parts of the program.

use std::sync::{Arc, OnceLock};

use redis::{AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::link::LinkError;
use crate::error::SetupError;

/// The way to one server, which proves by a certificate that it is this one.
pub(super) struct Tls {
    host: String,
    port: u16,
    name: ServerName<'static>,
    /// With the authorities that are trusted: the operating system's, which are read for the first connection, unless others
    /// are named.
    config: OnceLock<Arc<ClientConfig>>,
}

/// What is said over a connection, for as long as somebody uses it.
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Tls {
    pub(super) fn to(host: &str, port: u16) -> Result<Self, SetupError> {
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return Err(SetupError::new(
                "url",
                "expected the name or address of a host, as it stands in a certificate, got something else",
            ));
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            name,
            config: OnceLock::new(),
        })
    }

    pub(super) fn trust_only(&mut self, authorities_pem: &[u8]) -> Result<(), SetupError> {
        let unusable = |problem: &str| SetupError::new("trusting_only", problem);
        let mut authorities = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities_pem) {
            let certificate =
                certificate.map_err(|_| unusable("expected certificates in PEM, got one that is cut off"))?;
            let added = authorities.add(certificate);
            added.map_err(|_| unusable("expected the certificates of authorities, got one that cannot be read"))?;
        }
        if authorities.is_empty() {
            return Err(unusable(
                "expected the certificates of authorities in PEM (BEGIN CERTIFICATE), got none",
            ));
        }
        let builder = builder().map_err(|_| unusable("there is no version of TLS that can be spoken"))?;
        let config = builder.with_root_certificates(authorities).with_no_client_auth();
        self.config = OnceLock::from(Arc::new(config));
        Ok(())
    }

    /// The connection ends when its driver is dropped.
    pub(super) async fn connect(
        &self,
        settings: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, Driver), LinkError> {
        let connector = TlsConnector::from(self.config()?);
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| LinkError::Unreachable(error.kind()))?;
        // Small questions, and each is waited for.
        let _ = stream.set_nodelay(true);
        let stream = connector.connect(self.name.clone(), stream).await.map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            LinkError::Tls(inner.map_or("it ended early", problem))
        })?;
        let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream, config).await?;
        Ok((connection, Driver(tokio::spawn(driver))))
    }

    fn config(&self) -> Result<Arc<ClientConfig>, LinkError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = builder().and_then(|builder| Ok(builder.with_platform_verifier()?.with_no_client_auth()));
        let config =
            config.map_err(|_| LinkError::Tls("the certificate authorities of the operating system cannot be read"))?;
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_safe_default_protocol_versions()
}

/// What is wrong, without names and addresses.
fn problem(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            CertificateError::UnknownIssuer => "the certificate is by an authority that is not trusted",
            _ => "the certificate is not good",
        },
        rustls::Error::InvalidMessage(_) => "the server speaks no TLS",
        rustls::Error::AlertReceived(_) => "the server refuses it, perhaps because it wants a certificate of ours",
        _ => "the handshake failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: &str = include_str!("../../../tests/it/private-authority.pem");

    #[test]
    fn only_certificates_of_authorities_can_be_trusted() {
        let mut tls = Tls::to("localhost", 6379).unwrap();
        tls.trust_only(AUTHORITY.as_bytes()).unwrap();
        let cut_off = AUTHORITY.split_at(AUTHORITY.len() / 2).0;
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let after_a_good_one = format!("{AUTHORITY}{no_certificate}");
        for pem in ["", "swordfish", cut_off, no_certificate, &after_a_good_one] {
            let error = tls.trust_only(pem.as_bytes()).unwrap_err();
            assert_eq!(error.option(), "trusting_only", "{error}");
            assert!(!error.to_string().contains("swordfish"), "{error}");
        }
    }
}
