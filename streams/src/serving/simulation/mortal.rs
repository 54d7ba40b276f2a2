//! A store in memory whose owner dies after so many changes: from then on nothing succeeds, not even the end
//! of an upload that was begun before.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use parking_lot::Mutex;

type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send + 'static>>;

#[derive(Debug, Default)]
pub(crate) struct Mortal {
    files: InMemory,
    life: Life,
    /// What another one publishes right in front of us.
    rival: Mutex<Option<(String, Vec<u8>)>>,
    /// The name of a file that cannot be read as long as it is here.
    kept_back: Mutex<Option<String>>,
}

/// How many changes are left, and whether anything has been asked for when none was.
#[derive(Clone, Debug, Default)]
struct Life(Arc<Mutex<(Option<u64>, bool)>>);

/// What the owner's death is told with.
pub(crate) const DEAD: &str = "the process has died";

fn dead() -> Error {
    Error::Generic {
        store: "mortal",
        source: DEAD.into(),
    }
}

impl Life {
    fn alive(&self) -> Result<()> {
        let (left, dead) = &mut *self.0.lock();
        *dead |= *left == Some(0);
        match dead {
            true => Err(self::dead()),
            false => Ok(()),
        }
    }

    fn change(&self) -> Result<()> {
        self.alive()?;
        if let Some(left) = &mut self.0.lock().0 {
            *left -= 1;
        }
        Ok(())
    }
}

impl fmt::Display for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mortal")
    }
}

impl Mortal {
    /// So many changes succeed from now on.
    pub(crate) fn live(&self, changes: Option<u64>) {
        *self.life.0.lock() = (changes, false);
    }

    /// Whether it dies after so many changes.
    pub(crate) fn is_mortal(&self) -> bool {
        self.life.0.lock().0.is_some()
    }

    /// Whether it has died since it was last said how long it lives.
    pub(crate) fn has_died(&self) -> bool {
        self.life.0.lock().1
    }

    /// Before the manifest with that number is written somebody else writes this one.
    pub(crate) fn before_manifest(&self, number: u64, manifest: Vec<u8>) {
        *self.rival.lock() = Some((format!("{number:020}.json"), manifest));
    }

    /// There are no rivals any more.
    pub(crate) fn calm(&self) {
        *self.rival.lock() = None;
    }

    /// A file with that name is there and cannot be read.
    pub(crate) fn keep_back(&self, name: String) {
        *self.kept_back.lock() = Some(name);
    }

    /// Whether a run has left something to go on with.
    pub(crate) async fn unfinished(&self) -> bool {
        let folder = Path::from("places/unfinished");
        let mut files = self.files.list(Some(&folder));
        let first = std::future::poll_fn(|cx| std::pin::Pin::new(&mut files).poll_next(cx)).await;
        first.is_some()
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
        self.life.change()?;
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
        self.life.change()?;
        let upload = self.files.put_multipart_opts(location, options).await?;
        let life = self.life.clone();
        Ok(Box::new(MortalUpload { upload, life }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.life.alive()?;
        let kept_back = self.kept_back.lock().clone();
        if kept_back.is_some_and(|name| location.filename() == Some(&name)) {
            return Err(dead());
        }
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<Result<Path>>) -> BoxStream<Result<Path>> {
        match self.life.change() {
            Ok(()) => self.files.delete_stream(locations),
            Err(error) => Box::pin(Once(Some(Err(error)))),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<Result<ObjectMeta>> {
        match self.life.alive() {
            Ok(()) => self.files.list(prefix),
            Err(error) => Box::pin(Once(Some(Err(error)))),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.life.alive()?;
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.life.change()?;
        self.files.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct MortalUpload {
    upload: Box<dyn MultipartUpload>,
    life: Life,
}

#[async_trait::async_trait]
impl MultipartUpload for MortalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.life.change() {
            Ok(()) => self.upload.put_part(data),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.life.change()?;
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.life.alive()?;
        self.upload.abort().await
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
