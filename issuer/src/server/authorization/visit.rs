//! A browser that comes with a request of a client.

use http::{StatusCode, request::Parts};

use super::{AuthorizationEndpoint, LOGGED_IN};
use crate::{
    clients::Client,
    server::{
        authorize::{self, Asking, AuthorizationRequest, Parameters},
        frontend::{Browser, Stop},
        login::Login,
        pages::Trouble,
    },
    users::User,
};

pub(super) struct Visit<'a> {
    pub(super) client: Client,
    pub(super) request: AuthorizationRequest,
    /// The query as the client made it.
    pub(super) query: &'a str,
    /// The query with what was added to it.
    pub(super) whole_query: &'a str,
    pub(super) browser: Browser,
    pub(super) login: Option<(Login, User)>,
    /// Whether they logged in because of this request.
    pub(super) is_made_for_this: bool,
}

impl AuthorizationEndpoint {
    /// Who comes, with which request. Client and redirect URI are judged first.
    pub(super) async fn visit<'a>(&self, parts: &'a Parts) -> Result<Visit<'a>, Stop> {
        let frontend = &self.frontend;
        let whole_query = parts.uri.query().unwrap_or_default();
        let (query, made_for) = match whole_query.rsplit_once(LOGGED_IN) {
            Some((query, proof)) => (query, Some(proof)),
            None => (whole_query, None),
        };
        let bad = |detail| frontend.error(StatusCode::BAD_REQUEST, Trouble::BadRequest, Some(detail));
        let parameters = Parameters::parse(query).ok_or_else(|| bad("The query of the request cannot be read."))?;
        let judged = match parameters.client_id() {
            Err(refused) => Err(refused),
            Ok(client_id) => {
                let client = self.clients.look_up(client_id).await?;
                let asking = client.as_ref().map(|client| Asking {
                    client,
                    has_implicit_grant: self.has_implicit_grant,
                });
                authorize::judge(&parameters, asking.as_ref()).map(|request| (client, request))
            }
        };
        let (client, request) = match judged {
            Ok((Some(client), request)) => (client, request),
            Ok((None, _)) => return Err(bad("There is no client of this client_id.").into()),
            Err(refused) => return Err(self.refused(&refused).into()),
        };
        let browser = frontend.browser(&parts.headers)?;
        let login = frontend.logged_in(&parts.headers).await?;
        let now = frontend.issuer.now().wall;
        let is_made_for_this = match (&login, made_for) {
            (Some((login, _)), Some(proof)) => frontend.logins.is_made_for(login, query, proof, now),
            _ => false,
        };
        Ok(Visit {
            client,
            request,
            query,
            whole_query,
            browser,
            login,
            is_made_for_this,
        })
    }
}
