//! Processors.

use tidemark_streams::Record;
use tidemark_streams::processor::{
    Failure, KeyValue, Processing, Processor, ProcessorContext, StoreHandle,
};

use super::Outcome;
use crate::build::{Built, Handle, Keys};
use crate::case::Node;
use crate::value::Dyn;

/// The sum of the lengths of the values by key.
struct SumLengths(StoreHandle<KeyValue<Dyn, Dyn>>);

impl Processor<Dyn, Dyn, Dyn, Dyn> for SumLengths {
    fn process(
        &mut self,
        record: Record<Dyn, Dyn>,
        cx: &mut ProcessorContext<'_, Dyn, Dyn>,
    ) -> Result<(), Failure> {
        let mut sums = cx.store(&self.0)?;
        let sum = sums.get(&record.key)?.and_then(|sum| sum.int());
        let sum = sum.unwrap_or_default() + record.value.print().len() as i64;
        sums.put(&record.key, Dyn::Int(sum), record.timestamp)?;
        Ok(())
    }
}

pub(super) fn build(built: &mut Built, node: &Node) -> Result<Outcome, String> {
    if node.op != "process" {
        return Ok(Outcome::NotMine);
    }
    if node.need_text("fn")? != "sum_lengths" {
        return Err(format!("nobody builds the processor {:?}", node.text("fn")));
    }
    let stream = built.stream(node.need_text("from")?)?;
    let sums = built.builder.add_store(KeyValue::new(&node.id));
    let processing = Processing::new().store(&sums);
    let made = stream.process_with(processing, move || SumLengths(sums.clone()));
    built.stores.insert(node.id.clone(), Keys::Plain);
    Ok(Outcome::Made(Handle::Stream(made)))
}
