//! The client's half of a SASL exchange: bytes in, bytes out. The mechanisms are rsasl's.

use std::sync::Arc;

use rsasl::config::SASLConfig;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, Session};

use crate::config::SaslConfig;

/// An exchange that has begun.
pub(super) struct Exchange {
    session: Session,
    /// Whether the mechanism has said all it has to say.
    finished: bool,
}

impl Exchange {
    pub(super) fn new(config: &SaslConfig) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let credentials: Arc<SASLConfig> =
            SASLConfig::with_credentials(None, config.user.clone(), config.password.clone())
                .map_err(|error| failed(&error))?;
        let name =
            Mechname::parse(config.mechanism.name().as_bytes()).map_err(|error| failed(&error))?;
        let session = SASLClient::new(credentials)
            .start_suggested(&[name])
            .map_err(|error| failed(&error))?;
        Ok(Self {
            session,
            finished: false,
        })
    }

    /// The next message to the broker; `None` when the broker has proved itself too and nothing is
    /// left to say.
    pub(super) fn step(&mut self, from_broker: Option<&[u8]>) -> Result<Option<Vec<u8>>, String> {
        if self.finished {
            return Ok(None);
        }
        let mut out = Vec::new();
        let state = self
            .session
            .step(from_broker, &mut out)
            .map_err(|error| error.to_string())?;
        self.finished = state.is_finished();
        Ok((!out.is_empty() || !self.finished).then_some(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SaslMechanism;

    #[test]
    fn plain_sends_user_and_password_once() {
        let config = SaslConfig::new(SaslMechanism::Plain, "alice", "wonder");
        let mut exchange = Exchange::new(&config).unwrap();
        assert_eq!(
            exchange.step(None).unwrap().as_deref(),
            Some(&b"\0alice\0wonder"[..])
        );
        assert_eq!(exchange.step(Some(b"")).unwrap(), None);
    }

    #[test]
    fn scram_believes_no_broker_that_does_not_know_the_password() {
        for mechanism in [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
            let config = SaslConfig::new(mechanism, "alice", "wonder");
            let mut exchange = Exchange::new(&config).unwrap();
            let first = String::from_utf8(exchange.step(None).unwrap().unwrap()).unwrap();
            let nonce = first.split("r=").nth(1).unwrap().to_owned();
            let answer = format!("r={nonce}broker,s=c2FsdHNhbHQ=,i=4096");
            assert!(exchange.step(Some(answer.as_bytes())).unwrap().is_some());
            assert!(exchange.step(Some(b"v=AAAA")).is_err());
            // A nonce that is not an extension of ours.
            let mut exchange = Exchange::new(&config).unwrap();
            exchange.step(None).unwrap();
            assert!(
                exchange
                    .step(Some(b"r=other,s=c2FsdHNhbHQ=,i=4096"))
                    .is_err()
            );
            // Rubbish.
            let mut exchange = Exchange::new(&config).unwrap();
            exchange.step(None).unwrap();
            assert!(exchange.step(Some(b"\xff\xff")).is_err());
        }
    }
}
