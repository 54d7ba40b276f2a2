//! A store in memory whose owner dies after so many changes: from then on nothing succeeds.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send + 'static>>;

#[derive(Debug, Default)]
pub(crate) struct Mortal {
    files: InMemory,
    /// How many changes are left.
    left: Mutex<Option<u64>>,
    /// What another one publishes right in front of us.
    rival: Mutex<Option<(String, Vec<u8>)>>,
}

impl fmt::Display for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mortal")
    }
}

impl Mortal {
    /// So many changes succeed from now on.
    pub(crate) fn live(&self, changes: Option<u64>) {
        *self.left.lock() = changes;
    }

    /// Whether it dies after so many changes.
    pub(crate) fn is_mortal(&self) -> bool {
        self.left.lock().is_some()
    }

    /// Before the manifest with that number is written somebody else writes this one.
    pub(crate) fn before_manifest(&self, number: u64, manifest: Vec<u8>) {
        *self.rival.lock() = Some((format!("{number:020}.json"), manifest));
    }

    /// There are no rivals any more.
    pub(crate) fn calm(&self) {
        *self.rival.lock() = None;
    }

    /// Whether a run has left something to go on with.
    pub(crate) async fn unfinished(&self) -> bool {
        let folder = Path::from("places/unfinished");
        let mut files = self.files.list(Some(&folder));
        let first = std::future::poll_fn(|cx| std::pin::Pin::new(&mut files).poll_next(cx)).await;
        first.is_some()
    }

    fn dead() -> Error {
        Error::Generic {
            store: "mortal",
            source: "the process has died".into(),
        }
    }

    fn alive(&self) -> Result<()> {
        match *self.left.lock() {
            Some(0) => Err(Self::dead()),
            _ => Ok(()),
        }
    }

    fn change(&self) -> Result<()> {
        self.alive()?;
        if let Some(left) = &mut *self.left.lock() {
            *left -= 1;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl ObjectStore for Mortal {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.change()?;
        let rival = {
            let mut rival = self.rival.lock();
            let is_it = rival
                .as_ref()
                .is_some_and(|(name, _)| location.filename() == Some(name));
            if is_it { rival.take() } else { None }
        };
        if let Some((_, manifest)) = rival {
            self.files.put(location, manifest.into()).await?;
        }
        self.files.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.change()?;
        self.files.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<Result<Path>>) -> BoxStream<Result<Path>> {
        match self.change() {
            Ok(()) => self.files.delete_stream(locations),
            Err(error) => Box::pin(Once(Some(Err(error)))),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<Result<ObjectMeta>> {
        match self.alive() {
            Ok(()) => self.files.list(prefix),
            Err(error) => Box::pin(Once(Some(Err(error)))),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.alive()?;
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.change()?;
        self.files.copy_opts(from, to, options).await
    }
}

/// A stream of one.
struct Once<T>(Option<T>);

impl<T: Unpin> Stream for Once<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.0.take())
    }
}
