//! How the partitions of a group are shared out.
/// To come.
pub trait Assignor: Send + Sync {}
/// To come.
pub struct Range;
/// To come.
pub struct CooperativeSticky;
impl Assignor for Range {}
impl Assignor for CooperativeSticky {}
