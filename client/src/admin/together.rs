//! Several requests to several brokers at the same time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

enum Slot<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

/// Runs all futures within the caller's task and gives their outputs in their order. Meant for few:
/// each is looked at whenever one of them wakes the task.
pub(super) async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut slots: Vec<Slot<F>> = futures
        .into_iter()
        .map(|future| Slot::Running(Box::pin(future)))
        .collect();
    poll_fn(|context| {
        let mut all = Poll::Ready(());
        for slot in &mut slots {
            if let Slot::Running(future) = slot {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *slot = Slot::Done(output),
                    Poll::Pending => all = Poll::Pending,
                }
            }
        }
        all
    })
    .await;
    let outputs = slots.into_iter().filter_map(|slot| match slot {
        Slot::Done(output) => Some(output),
        Slot::Running(_) => None,
    });
    outputs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn outputs_come_in_the_order_of_the_futures() {
        assert_eq!(together(Vec::<std::future::Ready<u8>>::new()).await, []);
        let waiting = |rounds: usize| async move {
            for _ in 0..rounds {
                tokio::task::yield_now().await;
            }
            rounds
        };
        assert_eq!(together([3, 0, 2].map(waiting)).await, [3, 0, 2]);
    }
}
