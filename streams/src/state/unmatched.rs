//! Records of one side of a join that have found no partner yet, in the order of time.

use std::any::Any;
use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::far::{self, FarValues};
use super::table::INLINE_KEY;
use super::{Entry, Expiry, Store, StoreTime};
use crate::data::{Data, DataError, decode_slice};

/// Time and key's bytes.
type Place = (i64, SmallVec<[u8; INLINE_KEY]>);

/// Records by time and key (Kafka: the store that outer joins share). Those of one key and time have
/// the same partners, so they stay and go together.
pub(crate) struct Unmatched<V> {
    rows: BTreeMap<Place, Waiting<V>>,
    /// Places whose rows the changelog does not have as they are.
    fresh: Vec<Place>,
    /// Places that the changelog has and that have gone.
    gone: Vec<Place>,
    /// Those of both that are being told, the next one last, each with whether it is of the second.
    telling: Vec<(Place, bool)>,
    /// How long after its time a record waits, on the scale of the join's time.
    wait: i64,
    /// How many records there are.
    len: usize,
    /// Bytes of keys and lists that lie outside of the map.
    far: usize,
    far_values: FarValues,
    time: StoreTime,
}

struct Waiting<V> {
    values: SmallVec<[V; 1]>,
    /// Whether the changelog has the place.
    told: bool,
    /// Whether it is among the fresh ones.
    fresh: bool,
}

impl<V: Data> Unmatched<V> {
    pub(crate) fn new(wait: i64) -> Self {
        Self {
            rows: BTreeMap::new(),
            fresh: Vec::new(),
            gone: Vec::new(),
            telling: Vec::new(),
            wait,
            len: 0,
            far: 0,
            far_values: FarValues::default(),
            time: StoreTime::default(),
        }
    }

    /// The time of the first record, and when it has waited long enough.
    #[inline]
    pub(crate) fn first(&self) -> Option<(i64, i64)> {
        let ((time, _), _) = self.rows.first_key_value()?;
        Some((*time, time.saturating_add(self.wait)))
    }

    /// Takes the first records out, all of one key and time.
    pub(crate) fn take_first(&mut self) -> Option<(Place, SmallVec<[V; 1]>)> {
        let (place, waiting) = self.rows.pop_first()?;
        self.forget(&place, &waiting);
        Some((place, waiting.values))
    }

    pub(crate) fn put(&mut self, time: i64, key: &[u8], value: V) {
        let place = (time, SmallVec::from_slice(key));
        let waiting = self.rows.entry(place).or_insert_with(|| {
            self.far += far::key(key);
            Waiting {
                values: SmallVec::new(),
                told: false,
                fresh: false,
            }
        });
        let before = far::list(&waiting.values);
        waiting.values.push(value);
        self.far += far::list(&waiting.values) - before;
        self.len += 1;
        if !waiting.fresh {
            waiting.fresh = true;
            self.fresh.push((time, SmallVec::from_slice(key)));
        }
    }

    /// A partner has come.
    pub(crate) fn remove(&mut self, time: i64, key: &[u8]) {
        if self.rows.is_empty() {
            return;
        }
        let place = (time, SmallVec::from_slice(key));
        if let Some(waiting) = self.rows.remove(&place) {
            self.forget(&place, &waiting);
        }
    }

    fn forget(&mut self, place: &Place, waiting: &Waiting<V>) {
        self.uncount(place, waiting);
        if waiting.told {
            self.gone.push(place.clone());
        }
    }

    /// Everything that has changed until now is to be told next.
    fn list_changes(&mut self) {
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        let gone = std::mem::take(&mut self.gone).into_iter();
        let fresh = fresh.map(|place| (place, false));
        let mut all: Vec<_> = fresh.chain(gone.map(|place| (place, true))).collect();
        // Of equal places that first of which the changelog knows.
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.dedup_by(|next, kept| next.0 == kept.0);
        self.telling = all;
    }

    fn uncount(&mut self, place: &Place, waiting: &Waiting<V>) {
        self.far -= far::key(&place.1) + far::list(&waiting.values);
        self.len -= waiting.values.len();
    }
}

/// The time in front of the key's bytes.
fn name((time, key): &Place, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&time.to_be_bytes());
    out.extend_from_slice(key);
}

/// Each value with its length in front, 4 bytes; all bits set for null.
fn write<V: Data>(values: &[V], out: &mut Vec<u8>, scratch: &mut Vec<u8>) -> Result<(), DataError> {
    out.clear();
    for value in values {
        scratch.clear();
        let own = value.encode(scratch)?;
        let len = match own.map(|own| u32::try_from(own.len())) {
            Some(Ok(len)) if len < u32::MAX => len,
            None => u32::MAX,
            Some(_) => return Err(DataError::new("a value of more than 4 GiB")),
        };
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(own.unwrap_or_default());
    }
    Ok(())
}

fn read<V: Data>(mut bytes: &[u8]) -> Result<SmallVec<[V; 1]>, DataError> {
    let bad = || DataError::new("a list of waiting records that ends early");
    let mut values = SmallVec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
        let len = u32::from_be_bytes(*len);
        let (own, rest) = match len {
            u32::MAX => (None, rest),
            len => {
                let (own, rest) = rest.split_at_checked(len as usize).ok_or_else(bad)?;
                (Some(own), rest)
            }
        };
        values.push(decode_slice(own)?);
        bytes = rest;
    }
    Ok(values)
}

impl<V: Data> Store for Unmatched<V> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    /// In the order of places. What is changed in the midst of that comes at its place if that one is
    /// still to be told, else behind all the others.
    fn take_changes(&mut self, tell: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<(), DataError> {
        let (mut key, mut bytes, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        let (mut written, mut count, mut go_on) = (0, 0, true);
        while go_on {
            if self.telling.is_empty() {
                self.list_changes();
            }
            let Some((place, was)) = self.telling.last() else {
                break;
            };
            name(place, &mut key);
            match self.rows.get_mut(place) {
                Some(waiting) if waiting.fresh => {
                    write(&waiting.values, &mut bytes, &mut scratch)?;
                    (waiting.told, waiting.fresh) = (true, false);
                    written += bytes.len();
                    count += waiting.values.len();
                    waiting.values.iter_mut().for_each(Data::detach);
                    go_on = tell(Entry {
                        key: &key,
                        value: Some(&bytes),
                    });
                }
                // It has gone and come back, and was told where it stood before.
                Some(_) => {}
                None if *was => {
                    go_on = tell(Entry {
                        key: &key,
                        value: None,
                    });
                }
                // What came and went between two commits is nobody's business.
                None => {}
            }
            self.telling.pop();
        }
        self.far_values.note::<V>(written, count);
        Ok(())
    }

    fn entries(&self, tell: &mut dyn FnMut(Entry<'_>)) -> Result<(), DataError> {
        let (mut key, mut bytes, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for (place, waiting) in &self.rows {
            name(place, &mut key);
            write(&waiting.values, &mut bytes, &mut scratch)?;
            tell(Entry {
                key: &key,
                value: Some(&bytes),
            });
        }
        Ok(())
    }

    fn restore(&mut self, entry: Entry<'_>) -> Result<(), DataError> {
        let (time, key) = entry
            .key
            .split_first_chunk::<8>()
            .ok_or_else(|| DataError::new("a waiting record's key without its time"))?;
        let place: Place = (i64::from_be_bytes(*time), SmallVec::from_slice(key));
        let had = match entry.value {
            Some(value) => {
                let waiting = Waiting {
                    values: read(value)?,
                    told: true,
                    fresh: false,
                };
                self.far += far::key(&place.1) + far::list(&waiting.values);
                self.len += waiting.values.len();
                self.far_values.note_one::<V>(value.len());
                self.rows.insert(place.clone(), waiting)
            }
            None => self.rows.remove(&place),
        };
        if let Some(had) = had {
            self.uncount(&place, &had);
        }
        Ok(())
    }

    fn time(&self) -> StoreTime {
        self.time
    }

    fn set_time(&mut self, time: StoreTime) {
        self.time = time;
    }

    fn horizon(&self) -> Option<i64> {
        let ((last, _), _) = self.rows.last_key_value()?;
        Some(last.saturating_add(self.wait))
    }

    fn expiry(&self) -> Option<Expiry> {
        let first = self.rows.first_key_value().map(|((time, _), _)| *time);
        let last = self.rows.last_key_value().map(|((time, _), _)| *time);
        Expiry::in_order(first, last)
    }

    fn bytes(&self) -> usize {
        let listed = self.fresh.capacity() + self.gone.capacity();
        far::tree::<(Place, Waiting<V>)>(self.rows.len())
            + listed * size_of::<Place>()
            + self.telling.capacity() * size_of::<(Place, bool)>()
            + self.far
            + self.far_values.of(self.len)
    }

    fn len(&self) -> usize {
        self.len
    }
}
