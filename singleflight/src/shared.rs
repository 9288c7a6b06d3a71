/// A value, and how it was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shared<V> {
    /// What the work gave.
    pub value: V,
    /// Whether more than one caller waited for this execution at some time.
    pub shared: bool,
    /// Whether it was this caller's closure that ran.
    pub leader: bool,
}
