//! Snapshots on the local disk, in a process that ends itself in front of a step.

use std::fmt;
use std::path::Path as DiskPath;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::steps::{Counted, Steps};

type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send + 'static>>;

#[derive(Debug)]
pub(crate) struct Mortal {
    files: LocalFileSystem,
    steps: Arc<Steps>,
}

impl Mortal {
    pub(crate) fn new(folder: &DiskPath, steps: Arc<Steps>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let files = LocalFileSystem::new_with_prefix(folder)?;
        Ok(Self {
            files: files.with_fsync(true).with_automatic_cleanup(true),
            steps,
        })
    }

    fn step(&self, what: &str, path: &Path) {
        self.steps.step(Counted::All, what, path);
    }
}

impl fmt::Display for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mortal")
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
        self.step("put", location);
        self.files.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.step("begin", location);
        let upload = self.files.put_multipart_opts(location, options).await?;
        Ok(Box::new(MortalUpload {
            upload,
            location: location.clone(),
            steps: Arc::clone(&self.steps),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.steps.step(Counted::Reads, "get", location);
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<Result<Path>>) -> BoxStream<Result<Path>> {
        // One at a time.
        self.step("delete", &Path::default());
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<Result<ObjectMeta>> {
        self.step("list", &prefix.cloned().unwrap_or_default());
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<Result<ObjectMeta>> {
        self.step("list", offset);
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.step("list", &prefix.cloned().unwrap_or_default());
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.step("copy", to);
        self.files.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct MortalUpload {
    upload: Box<dyn MultipartUpload>,
    location: Path,
    steps: Arc<Steps>,
}

#[async_trait::async_trait]
impl MultipartUpload for MortalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.steps.step(Counted::All, "write to", &self.location);
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.steps.step(Counted::All, "end", &self.location);
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
