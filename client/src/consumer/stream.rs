//! Records as a `Stream`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Consumer, ConsumerError, ConsumerRecord};

type Waiting<'a> = Pin<
    Box<dyn Future<Output = (&'a mut Consumer, Result<ConsumerRecord, ConsumerError>)> + Send + 'a>,
>;

/// The records of a consumer, without end. Made by [`Consumer::stream`].
///
/// An error is an item like any other: what follows it are the next records. Dropping the stream
/// loses nothing, and leaves the consumer where it is.
pub struct RecordStream<'a> {
    state: State<'a>,
}

enum State<'a> {
    Idle(&'a mut Consumer),
    Waiting(Waiting<'a>),
    /// Only while a poll is at work.
    Moving,
}

impl<'a> RecordStream<'a> {
    pub(super) fn new(consumer: &'a mut Consumer) -> Self {
        Self {
            state: State::Idle(consumer),
        }
    }
}

impl Stream for RecordStream<'_> {
    type Item = Result<ConsumerRecord, ConsumerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut waiting = match std::mem::replace(&mut self.state, State::Moving) {
            State::Idle(consumer) => {
                // What is at hand needs no future.
                if let Some(next) = consumer.at_hand() {
                    self.state = State::Idle(consumer);
                    return Poll::Ready(Some(next));
                }
                Box::pin(async move {
                    let next = consumer.recv().await;
                    (consumer, next)
                })
            }
            State::Waiting(waiting) => waiting,
            State::Moving => return Poll::Ready(None),
        };
        match waiting.as_mut().poll(context) {
            Poll::Ready((consumer, next)) => {
                self.state = State::Idle(consumer);
                Poll::Ready(Some(next))
            }
            Poll::Pending => {
                self.state = State::Waiting(waiting);
                Poll::Pending
            }
        }
    }
}
