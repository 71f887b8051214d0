//! What stands for the list where none is compiled in.

use super::{RevocationConfig, RevocationMirror};
use crate::{config::ConfigError, protector::ResourceProtectorLayer};

impl RevocationConfig {
    /// A table that is passed over would let in whoever was logged out.
    pub(in crate::config) fn watch_over(
        &self,
        _: ResourceProtectorLayer,
    ) -> Result<(ResourceProtectorLayer, RevocationMirror), ConfigError> {
        Err(ConfigError::new(
            "revocation",
            "this program is built without the feature `redis` of resource-protector, which a list of revocations needs; \
             build it with that, or take the table out",
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ProtectorConfig;

    #[test]
    fn the_table_names_the_feature_that_it_needs() {
        let text = "[resource]\nidentifier = \"https://api.test\"\n\
                    [[issuer]]\nissuer = \"https://auth.test\"\nkind = \"jwt\"\n\
                    [revocation]\nredis_url = \"redis://h/\"\nname = \"a\"\nby = [\"sub\"]\nlongest_lifetime_seconds = 60\n";
        let config = ProtectorConfig::from_toml(text).unwrap();
        let error = config.protector_and_mirror().unwrap_err().located_in(text);
        assert_eq!((error.key(), error.line()), ("revocation", Some(6)));
        assert!(error.to_string().contains("the feature `redis`"), "{error}");
    }
}
