//! Calls that find their broker, and the patience to try them again.

use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_protocol::protocol::Request;
use tidemark_protocol::ErrorCode;

use super::{Cluster, CoordinatorKind, Lane};
use crate::connection::CallError;
use crate::error::ClientError;
use crate::retry::{Backoff, Remedy, remedy};

/// Who is to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Any broker.
    Any,
    /// The one with this number.
    Id(i32),
    /// The one that takes changes of topics and configs.
    Controller,
}

impl Cluster {
    /// One request to one broker, once, in the newest version of `ours` that it speaks.
    pub(crate) async fn call<R: Request>(
        &self,
        node: &Node,
        lane: Lane,
        ours: RangeInclusive<i16>,
        timeout: Duration,
        request: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, CallError> {
        let link = match node {
            Node::Any => self.any_link().await?,
            Node::Id(id) => self.link(*id, lane).await?,
            Node::Controller => match self.metadata().controller {
                Some(id) => self.link(id, lane).await?,
                // Whoever answers knows the controller, or passes the request on itself.
                None => self.any_link().await?,
            },
        };
        let version = link.versions().pick::<R>(ours)?;
        link.call(version, &request(version), timeout).await
    }

    /// Patience for a call: `what` says in errors what is being tried.
    pub(crate) fn tries(&self, what: impl Into<String>, limit: Duration) -> Tries<'_> {
        Tries {
            cluster: self,
            what: what.into(),
            limit,
            deadline: self.clock().deadline(limit),
            backoff: self.backoff(),
            last: None,
        }
    }

    /// Waiting times between tries as configured.
    pub(crate) fn backoff(&self) -> Backoff {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Backoff::new(
            millis(self.config().retry_backoff),
            millis(self.config().retry_backoff_max),
        )
    }
}

/// Tries of one call, until one succeeds, one fails for good, or time is up.
pub(crate) struct Tries<'a> {
    cluster: &'a Cluster,
    what: String,
    limit: Duration,
    deadline: u64,
    backoff: Backoff,
    /// Why the last try that ended failed.
    last: Option<ClientError>,
}

impl Tries<'_> {
    /// How long the next request may take: the request timeout, or what is left.
    pub(crate) fn timeout(&self) -> Duration {
        let left = self
            .deadline
            .saturating_sub(self.cluster.clock().now().millis);
        self.cluster
            .config()
            .request_timeout
            .min(Duration::from_millis(left.max(1)))
    }

    /// What is being tried.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Runs one try, cut off when time is up.
    pub(crate) async fn attempt<T>(
        &self,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, ClientError> {
        match self.cluster.clock().until(self.deadline, work).await {
            Some(done) => done.map_err(ClientError::from),
            None => Err(self.late(self.last.clone())),
        }
    }

    /// Waits for the next try after a failure, or gives the error that ends all tries.
    pub(crate) async fn again(&mut self, error: ClientError) -> Result<(), ClientError> {
        let remedy = match &error {
            ClientError::Broker { code, .. } => remedy(*code),
            ClientError::Connect(error) if error.retriable() => Remedy::RefreshMetadata,
            ClientError::Call(error) if error.retriable() => Remedy::RefreshMetadata,
            _ => Remedy::Final,
        };
        self.again_by(error, remedy).await
    }

    /// The same, with the remedy that the caller knows to help.
    pub(crate) async fn again_by(
        &mut self,
        error: ClientError,
        remedy: Remedy,
    ) -> Result<(), ClientError> {
        if *self.cluster.inner.closed.borrow() {
            return Err(ClientError::Closed);
        }
        match remedy {
            Remedy::Final => return Err(error),
            Remedy::RefreshMetadata => self.cluster.refresh(),
            Remedy::Wait | Remedy::FindCoordinator => {}
        }
        let clock = self.cluster.clock();
        let wait = self.backoff.next(clock.random());
        let until = clock.now().millis.saturating_add(wait);
        if until >= self.deadline {
            return Err(self.late(Some(error)));
        }
        tracing::debug!(what = %self.what, %error, wait, "trying again");
        self.last = Some(error);
        clock.sleep_until(until).await;
        Ok(())
    }

    fn late(&self, last: Option<ClientError>) -> ClientError {
        // One that never got to a broker waited for the same as the refresher.
        let last = last.or_else(|| self.cluster.inner.trouble.lock().clone());
        ClientError::Timeout {
            what: self.what.clone(),
            after: self.limit,
            last: last.map(Box::new),
        }
    }
}

/// A broker's refusal as an error, unless the code is that of success.
pub(crate) fn api_error(
    what: impl FnOnce() -> String,
    code: i16,
    message: Option<&str>,
) -> Result<(), ClientError> {
    match ErrorCode::from(code) {
        ErrorCode::None => Ok(()),
        code => Err(ClientError::Broker {
            what: what(),
            code,
            message: message
                .filter(|words| !words.is_empty())
                .map(ToOwned::to_owned),
        }),
    }
}

impl Cluster {
    /// The coordinator of a key: known, or found within the patience of `tries`.
    pub(crate) async fn coordinator_within(
        &self,
        kind: CoordinatorKind,
        key: &str,
        tries: &mut Tries<'_>,
    ) -> Result<i32, ClientError> {
        loop {
            match self.coordinator(kind, key, tries).await {
                Ok(node) => return Ok(node),
                Err(error) => tries.again(error).await?,
            }
        }
    }
}
