//! Operators of the application's own, and stores for them.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Stream;
use crate::data::Data;
use crate::dsl::StreamsBuilder;
use crate::operator::process::{Process, ProcessParts};
use crate::operator::try_map::TryMap;
use crate::processor::{
    Failure, OnError, Place, Policy, Processing, Processor, Punctuation, StoreHandle, StoreKind,
};
use crate::state::KeyValueStore;
use crate::topology::{Edge, Make, MakeContext, Node, NodeKind, StoreSpec, Topic};

impl StreamsBuilder {
    /// Adds a store for processors (Kafka: `StreamsBuilder.addStateStore`). Its name has to be new.
    pub fn add_store<S: StoreKind>(&self, store: S) -> StoreHandle<S> {
        let plan = self.plan();
        let spec = store.spec();
        plan.check_store_name(&spec.name);
        StoreHandle {
            plan: plan.id(),
            number: plan.add_store(spec),
            kind: PhantomData,
        }
    }
}

impl<K: Data, V: Data> Stream<K, V> {
    /// Has a processor of the application's own work on the stream (Kafka: `KStream.process`); `make`
    /// makes one for each task. Marks the stream for repartitioning.
    #[must_use]
    pub fn process<L, W, P>(&self, make: impl Fn() -> P + Send + Sync + 'static) -> Stream<L, W>
    where
        L: Clone + Send + 'static,
        W: Clone + Send + 'static,
        P: Processor<K, V, L, W> + 'static,
    {
        self.process_with(Processing::new(), make)
    }

    /// As [`Self::process`], with stores, schedules, and another way to take errors.
    #[must_use]
    pub fn process_with<L, W, P>(
        &self,
        processing: Processing,
        make: impl Fn() -> P + Send + Sync + 'static,
    ) -> Stream<L, W>
    where
        L: Clone + Send + 'static,
        W: Clone + Send + 'static,
        P: Processor<K, V, L, W> + 'static,
    {
        let plan = &self.plan;
        let name: Arc<str> = plan
            .unused_name(&format!("{}.process", plan.name(self.from.node)))
            .into();
        let Processing {
            policy,
            schedules,
            stores,
            keeps_keys,
            with_source,
        } = processing;
        if schedules.iter().any(|schedule| schedule.interval < 1) {
            plan.problem(format!(
                "{name}: schedules need at least 1 ms between calls"
            ));
        }
        if stores.iter().any(|(of, _)| *of != plan.id()) {
            plan.problem(format!("{name}: has a store of another builder"));
        }
        let stores: Vec<usize> = stores.into_iter().map(|(_, store)| store).collect();
        let by = |kind: Punctuation| schedules.iter().any(|schedule| schedule.by == kind);
        let by_watermark = by(Punctuation::Watermark);
        let by_wall_clock = by(Punctuation::WallClock);
        let clock = (by_watermark || by(Punctuation::StreamTime)).then(|| {
            // It keeps nothing but its time, which is kept with the task's position.
            plan.add_store(StoreSpec {
                name: format!("{name}.time"),
                make: Arc::new(|seed| Box::new(KeyValueStore::<()>::new(seed))),
                holds: "time".to_owned(),
                changelog: None,
                reads: None,
            })
        });
        let (own, dead_letters) = (stores.clone(), policy.dead_letters());
        let operator = Make::Operator(Arc::new(move |cx| {
            let places = own.iter().map(|number| Place {
                number: *number,
                id: cx.store(*number),
            });
            Box::new(Process::<P, K, V, L, W>::new(ProcessParts {
                processor: make(),
                name: cx.name.into(),
                places: places.collect(),
                policy: at_task(&policy, cx),
                schedules: schedules.clone(),
                clock: clock.map(|clock| cx.store(clock)),
            }))
        }));
        let mut new = Node::new("process", NodeKind::Process, operator)
            .input(self.from)
            .output::<L, W>()
            .varies_if(by_wall_clock)
            .dead_letters(dead_letters);
        for store in stores.into_iter().chain(clock) {
            new = new.store(store);
        }
        if by_watermark {
            new = new.keeps_time::<K, V>().one_by_one();
        }
        if with_source {
            new = new.with_source();
        }
        let node = plan.add(new);
        Stream::new(plan.clone(), Edge { node, port: 0 })
            .with_key_changed(self.key_changed || !keeps_keys)
    }

    /// Makes another value of each by code that can fail, and says what is done then.
    ///
    /// ```
    /// # use tidemark_streams::StreamsBuilder;
    /// # use tidemark_streams::processor::OnError;
    /// # let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("text")
    ///     .try_map_values(OnError::DeadLetter("no_numbers".into()), |text| text.parse::<i64>())
    ///     .to("numbers");
    /// ```
    #[must_use]
    pub fn try_map_values<W, E>(
        &self,
        policy: OnError,
        map: impl Fn(&V) -> Result<W, E> + Send + Sync + 'static,
    ) -> Stream<K, W>
    where
        W: Clone + Send + 'static,
        E: Into<Failure>,
    {
        let map = Arc::new(move |value: &V| map(value).map_err(Into::into));
        let dead_letters = policy.dead_letters();
        let make = Make::Operator(Arc::new(move |cx| {
            let (map, policy) = (Arc::clone(&map), at_task(&policy, cx));
            Box::new(TryMap::<_, K, V, W>::new(map, cx.name.into(), policy))
        }));
        let new = Node::new("try_map_values", NodeKind::Stateless { table: false }, make)
            .dead_letters(dead_letters);
        let node = self.plan.add(new.input(self.from).output::<K, W>());
        Stream::new(self.plan.clone(), Edge { node, port: 0 }).with_key_changed(self.key_changed)
    }
}

fn at_task(policy: &OnError, cx: &mut MakeContext<'_>) -> Policy {
    match policy {
        OnError::Fail => Policy::Fail,
        OnError::Skip => Policy::Skip,
        OnError::DeadLetter(topic) => {
            Policy::DeadLetter(cx.topic(&Topic::External(Arc::clone(topic))))
        }
    }
}
