//! Where snapshots are: a folder of an object store, the local disk if nothing else is said.

use std::fmt;
use std::future::poll_fn;
use std::path::{Path as DiskPath, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, WriteMultipart};

use super::manifest::{BadManifest, EventsFile, Manifest, StateFile};
use super::paths;
use super::states_file::{States, StatesReader};

/// The most bytes that a manifest may have.
pub(crate) const MOST_MANIFEST: u64 = 256 << 20;

/// Pieces of so many bytes are uploaded at a time; at most two of a file are on their way.
const PIECE: usize = 8 << 20;

/// The snapshots of one view.
#[derive(Clone)]
pub struct Snapshots {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    view: String,
    /// The view's folder, if it is one of the local disk.
    local: Option<PathBuf>,
}

/// Why something cannot be done with snapshots.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store has failed.
    #[error("{path}: {reason}")]
    Store {
        /// What it was about.
        path: String,
        /// What the store says.
        reason: String,
    },
    /// A file is not there.
    #[error("{path} is not there")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A file is not what its manifest says.
    #[error("{path} is corrupt: {reason}")]
    Corrupt {
        /// Its path.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A manifest is none.
    #[error("{path} is no manifest: {error}")]
    Manifest {
        /// Its path.
        path: String,
        /// Why.
        error: BadManifest,
    },
    /// Another run was quicker.
    #[error(
        "snapshot {snapshot} of view {view:?} is there already: another batch run has published it in \
         the meantime; this run's files are of no use and have been deleted"
    )]
    Taken {
        /// The view.
        view: String,
        /// The number.
        snapshot: u64,
    },
    /// The view's name cannot be a folder.
    #[error("view {name:?}: a view's name has 1 to 100 letters, digits, '.', '_' and '-'")]
    Name {
        /// The name.
        name: String,
    },
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshots({}/{})", self.store, self.folder)
    }
}

/// Whether that can be a view's name, which is a folder and a part of topics' names, too.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

impl Snapshots {
    /// Those in a folder of the local disk, which is made if it is not there. Files are on disk (fsync)
    /// before they count as written.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made, or the view's name is none.
    pub fn local(folder: &DiskPath, view: &str) -> Result<Self, SnapshotError> {
        let failed = |reason: String| SnapshotError::Store {
            path: folder.display().to_string(),
            reason,
        };
        super::folder::make(folder).map_err(|error| failed(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(folder);
        let store = store.map_err(|error| failed(error.to_string()))?;
        // Folders of files that have been deleted go with the last of them.
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        let mut own = Self::new(Arc::new(store), Path::default(), view)?;
        own.local = Some(folder.join(view));
        Ok(own)
    }

    /// Those in a folder of any store. Of one that is on the local disk after all nothing is known here:
    /// no lock is taken for it ([`Self::local`]).
    ///
    /// # Errors
    ///
    /// If the view's name is none.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        folder: Path,
        view: &str,
    ) -> Result<Self, SnapshotError> {
        if !is_name(view) {
            return Err(SnapshotError::Name {
                name: view.to_owned(),
            });
        }
        Ok(Self {
            store,
            folder: folder.join(view),
            view: view.to_owned(),
            local: None,
        })
    }

    /// The view's folder, if it is one of the local disk.
    pub(crate) fn folder(&self) -> Option<&DiskPath> {
        self.local.as_deref()
    }

    fn path(&self, name: &str) -> Path {
        let parts = name.split('/');
        parts.fold(self.folder.clone(), |path, part| path.join(part))
    }

    /// How a file of the view is named in errors.
    pub(crate) fn shown(&self, name: &str) -> String {
        self.path(name).to_string()
    }

    fn failed(&self, name: &str, error: object_store::Error) -> SnapshotError {
        let path = self.path(name).to_string();
        match error {
            object_store::Error::NotFound { .. } => SnapshotError::Missing { path },
            error => SnapshotError::Store {
                path,
                reason: error.to_string(),
            },
        }
    }

    /// The files below a folder of the view, with their sizes, in the order of their names.
    pub(crate) async fn list(&self, name: &str) -> Result<Vec<(String, u64)>, SnapshotError> {
        self.collect(name, self.store.list(Some(&self.path(name))))
            .await
    }

    async fn collect(
        &self,
        name: &str,
        mut stream: Pin<Box<dyn Stream<Item = object_store::Result<ObjectMeta>> + Send>>,
    ) -> Result<Vec<(String, u64)>, SnapshotError> {
        let mut found = Vec::new();
        while let Some(next) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
            let meta = next.map_err(|error| self.failed(name, error))?;
            let below = meta.location.prefix_match(&self.folder);
            let parts: Option<Vec<_>> =
                below.map(|parts| parts.map(|part| part.as_ref().to_owned()).collect());
            found.extend(parts.map(|parts| (parts.join("/"), meta.size)));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The numbers of the snapshots there are, the oldest first.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn numbers(&self) -> Result<Vec<u64>, SnapshotError> {
        self.numbers_after(0).await
    }

    /// Those behind a number: no more of the store is looked at than has to be.
    pub(crate) async fn numbers_after(&self, number: u64) -> Result<Vec<u64>, SnapshotError> {
        let prefix = self.path(paths::MANIFESTS);
        let stream = match number {
            0 => self.store.list(Some(&prefix)),
            number => {
                let last = self.path(&paths::manifest(number));
                self.store.list_with_offset(Some(&prefix), &last)
            }
        };
        let found = self.collect(paths::MANIFESTS, stream).await?;
        let found = found.iter();
        Ok(found
            .filter_map(|(path, _)| paths::snapshot_of(path))
            .collect())
    }

    /// A snapshot's manifest.
    ///
    /// # Errors
    ///
    /// If it is not there, or is none.
    pub async fn manifest(&self, snapshot: u64) -> Result<Manifest, SnapshotError> {
        let name = paths::manifest(snapshot);
        let bytes = self.read(&name, Some(MOST_MANIFEST)).await?;
        let path = self.path(&name).to_string();
        let manifest = Manifest::from_json(&bytes);
        let manifest = manifest.map_err(|error| SnapshotError::Manifest {
            path: path.clone(),
            error,
        })?;
        if manifest.snapshot != snapshot || manifest.view != self.view {
            let reason = format!(
                "it is of snapshot {} of view {:?}",
                manifest.snapshot, manifest.view
            );
            return Err(SnapshotError::Corrupt { path, reason });
        }
        Ok(manifest)
    }

    /// Publishes a snapshot, whose files are all written. Of several that have one number the first is it:
    /// it is given back if it is another run's.
    pub(crate) async fn publish(
        &self,
        manifest: &Manifest,
    ) -> Result<Option<Manifest>, SnapshotError> {
        let name = paths::manifest(manifest.snapshot);
        let json = manifest.to_json();
        if json.len() as u64 > MOST_MANIFEST {
            // It could not be read any more.
            let files = manifest.events.len() as u64;
            return Err(self.too_many_events(manifest.snapshot, files));
        }
        let error = match self.put_new(&name, json).await {
            Ok(()) => return Ok(None),
            Err(error @ object_store::Error::AlreadyExists { .. }) => error,
            Err(error) => return Err(self.failed(&name, error)),
        };
        match self.manifest(manifest.snapshot).await {
            // A store's client tries again what has not been answered, and then meets what it has written.
            Ok(there) if there.run == manifest.run => Ok(None),
            Ok(there) => Ok(Some(there)),
            // It was in the way of somebody who has not published anything either.
            Err(SnapshotError::Missing { .. }) => Err(self.failed(&name, error)),
            Err(error) => Err(error),
        }
    }

    /// That a snapshot has, or would have, more files of raw events than can be named.
    pub(crate) fn too_many_events(&self, snapshot: u64, files: u64) -> SnapshotError {
        SnapshotError::Store {
            path: self.shown(&paths::manifest(snapshot)),
            reason: format!(
                "with {files} files of raw events it has more than the {MOST_MANIFEST} bytes that a manifest \
                 may have: the events are of too many days. Turn raw events off (--no-events; \
                 BatchConfig::archive), or correct their times"
            ),
        }
    }

    async fn put_new(&self, name: &str, bytes: Vec<u8>) -> object_store::Result<()> {
        let options = PutMode::Create.into();
        let put = self
            .store
            .put_opts(&self.path(name), bytes.into(), options)
            .await;
        put.map(drop)
    }

    /// Writes a small file that nobody else writes, in the way in which snapshots are published: a store that
    /// cannot do that says so.
    pub(crate) async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        match self.put_new(name, bytes.clone()).await {
            Ok(()) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => self.put(name, bytes).await,
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Writes a small file, in place of what was there.
    pub(crate) async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        let put = self.store.put(&self.path(name), bytes.into()).await;
        put.map(drop).map_err(|error| self.failed(name, error))
    }

    /// A whole file. One that has more than `most` bytes is corrupt: for as many as it has memory is taken,
    /// whatever they are.
    pub(crate) async fn read(&self, name: &str, most: Option<u64>) -> Result<Bytes, SnapshotError> {
        let failed = |error| self.failed(name, error);
        let found = self.store.get(&self.path(name)).await.map_err(failed)?;
        let size = found.meta.size;
        if let Some(most) = most.filter(|most| size > *most) {
            return Err(SnapshotError::Corrupt {
                path: self.path(name).to_string(),
                reason: format!("it has {size} bytes, more than the {most} that it may have"),
            });
        }
        found.bytes().await.map_err(failed)
    }

    /// Deletes a file; one that is not there is deleted already.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), SnapshotError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    /// Begins a file that may be large.
    pub(crate) async fn upload(&self, name: &str) -> Result<Upload, SnapshotError> {
        let begun = self.store.put_multipart(&self.path(name)).await;
        let begun = begun.map_err(|error| self.failed(name, error))?;
        Ok(Upload {
            snapshots: self.clone(),
            name: name.to_owned(),
            upload: Some(WriteMultipart::new_with_chunk_size(begun, PIECE)),
            hash: crc32fast::Hasher::new(),
            bytes: 0,
        })
    }

    /// Whether all files of a snapshot's states can be read. One of them is in memory at a time.
    ///
    /// # Errors
    ///
    /// What is wrong with the first one that cannot.
    pub(crate) async fn check(&self, manifest: &Manifest) -> Result<(), SnapshotError> {
        for file in &manifest.states {
            self.states(file, States::default()).await?;
        }
        Ok(())
    }

    /// Reads a file of states behind those that are there, and makes sure that it is what its manifest says.
    pub(crate) async fn states(
        &self,
        file: &StateFile,
        mut into: States,
    ) -> Result<States, SnapshotError> {
        let wanted = file.rows;
        let read = self.checked(file, move |bytes| {
            let before = into.keys.len() as u64;
            into.read(bytes).map_err(|error| error.to_string())?;
            let rows = into.keys.len() as u64 - before;
            check_rows(rows, wanted).map(|()| into)
        });
        read.await
    }

    /// The same, for whoever reads it group by group.
    pub(crate) async fn states_reader(
        &self,
        file: &StateFile,
    ) -> Result<StatesReader, SnapshotError> {
        let wanted = file.rows;
        let read = self.checked(file, move |bytes| {
            let reader = StatesReader::new(bytes).map_err(|error| error.to_string())?;
            check_rows(reader.rows(), wanted).map(|()| reader)
        });
        read.await
    }

    /// Makes sure that a file of states is there, and is what its manifest says.
    pub(crate) async fn check_states(&self, file: &StateFile) -> Result<(), SnapshotError> {
        self.checked(file, |_| Ok(())).await
    }

    /// Does something with a file's bytes, once they are known to be what its manifest says.
    async fn checked<T: Send + 'static>(
        &self,
        file: &StateFile,
        read: impl FnOnce(Bytes) -> Result<T, String> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        let bytes = self.read(&file.path, Some(file.bytes)).await?;
        let path = self.path(&file.path).to_string();
        let (size, crc32) = (file.bytes, file.crc32);
        // Unpacking takes long enough to be in the way of others.
        let read = tokio::task::spawn_blocking(move || {
            check(&bytes, size, crc32)?;
            read(bytes)
        });
        let read = read.await;
        let read = read.unwrap_or_else(|error| Err(format!("reading it has failed: {error}")));
        read.map_err(|reason| SnapshotError::Corrupt { path, reason })
    }

    /// Makes sure that a file of raw events is there, and is what its manifest says.
    pub(crate) async fn check_events(&self, file: &EventsFile) -> Result<(), SnapshotError> {
        let bytes = self.read(&file.path, Some(file.bytes)).await?;
        let path = self.path(&file.path).to_string();
        check(&bytes, file.bytes, file.crc32)
            .map_err(|reason| SnapshotError::Corrupt { path, reason })
    }
}

fn check_rows(found: u64, wanted: u64) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!(
            "it has {found} states, not the {wanted} of its manifest"
        )),
    }
}

/// Whether a file is as its manifest says.
fn check(bytes: &[u8], size: u64, crc32: u32) -> Result<(), String> {
    if bytes.len() as u64 != size {
        return Err(format!(
            "it has {} bytes, not the {size} of its manifest",
            bytes.len()
        ));
    }
    let found = crc32fast::hash(bytes);
    if found != crc32 {
        return Err(format!(
            "its checksum is {found:08x}, not the {crc32:08x} of its manifest"
        ));
    }
    Ok(())
}

/// A file on its way: it is there, whole, when [`Self::finish`] has returned, and not at all before. If it is
/// dropped before, what has been written of it is taken back.
pub(crate) struct Upload {
    snapshots: Snapshots,
    name: String,
    /// `None` once it has ended.
    upload: Option<WriteMultipart>,
    hash: crc32fast::Hasher,
    bytes: u64,
}

impl Upload {
    /// Adds what comes next.
    pub(crate) async fn write(&mut self, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        let Some(upload) = &mut self.upload else {
            return Ok(());
        };
        let ready = upload.wait_for_capacity(2).await;
        ready.map_err(|error| self.snapshots.failed(&self.name, error))?;
        self.hash.update(&bytes);
        self.bytes += bytes.len() as u64;
        upload.put(bytes.into());
        Ok(())
    }

    /// Ends the file; gives its size and its CRC-32.
    pub(crate) async fn finish(mut self) -> Result<(u64, u32), SnapshotError> {
        if let Some(upload) = self.upload.take() {
            // It takes back itself what cannot be ended.
            let done = upload.finish().await;
            done.map_err(|error| self.snapshots.failed(&self.name, error))?;
        }
        Ok((self.bytes, self.hash.clone().finalize()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Stores keep the pieces of what is neither ended nor taken back.
        if let Some(upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(upload.abort());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_folders_and_topics_can_have() {
        for name in ["user_totals", "a", "a.b-C", &"x".repeat(100)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "ä", "a b", &"x".repeat(101)] {
            assert!(!is_name(name), "{name}");
        }
    }

    async fn a_file(snapshots: &Snapshots, name: &str, bytes: &[u8]) -> (u64, u32) {
        let mut upload = snapshots.upload(name).await.unwrap();
        for piece in bytes.chunks(3) {
            upload.write(piece.to_vec()).await.unwrap();
        }
        upload.finish().await.unwrap()
    }

    #[tokio::test]
    async fn files_are_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::local(&dir.path().join("new/folder"), "v").unwrap();
        let mut begun = snapshots.upload("state/1/a").await.unwrap();
        begun.write(b"half".to_vec()).await.unwrap();
        assert!(snapshots.list("state").await.unwrap().is_empty());
        drop(begun);
        let (size, crc32) = a_file(&snapshots, "state/1/b", b"whole file").await;
        assert_eq!((size, crc32), (10, crc32fast::hash(b"whole file")));
        let listed = snapshots.list("state").await.unwrap();
        assert_eq!(listed, [("state/1/b".to_owned(), 10)]);
        assert_eq!(
            &snapshots.read("state/1/b", None).await.unwrap()[..],
            b"whole file"
        );
        let large = snapshots.read("state/1/b", Some(9)).await.unwrap_err();
        assert!(matches!(large, SnapshotError::Corrupt { .. }), "{large}");
        let missing = snapshots.read("state/1/c", None).await.unwrap_err();
        assert!(
            matches!(missing, SnapshotError::Missing { .. }),
            "{missing}"
        );
        for _ in 0..2 {
            snapshots.delete("state/1/b").await.unwrap();
        }
    }

    /// What a copy that went wrong has made of a file must not take all memory there is.
    #[tokio::test]
    #[allow(
        clippy::disallowed_methods,
        reason = "it damages what the door has written"
    )]
    async fn a_file_that_has_grown_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::local(dir.path(), "v").unwrap();
        let (bytes, crc32) = a_file(&snapshots, "state/1/a", b"whole file").await;
        let (path, topic) = ("state/1/a".to_owned(), "t".to_owned());
        let (partition, rows) = (0, 1);
        let states = StateFile {
            path: path.clone(),
            topic: topic.clone(),
            partition,
            bytes,
            crc32,
            rows,
        };
        let events = EventsFile {
            path,
            topic,
            partition,
            from: 0,
            to: 1,
            bytes,
            crc32,
            rows,
        };
        snapshots.check_states(&states).await.unwrap();
        snapshots.check_events(&events).await.unwrap();
        let mut options = std::fs::File::options();
        let file = options.write(true).open(dir.path().join("v/state/1/a"));
        file.unwrap().set_len(1 << 40).unwrap();
        let read = snapshots.states(&states, States::default()).await.map(drop);
        let reader = snapshots.states_reader(&states).await.map(drop);
        let of_states = snapshots.check_states(&states).await;
        let of_events = snapshots.check_events(&events).await;
        for read in [read, reader, of_states, of_events] {
            let error = read.unwrap_err();
            let corrupt = matches!(&error, SnapshotError::Corrupt { reason, .. }
                if reason.contains("1099511627776 bytes, more than the 10"));
            assert!(corrupt, "{error}");
        }
    }

    #[test]
    fn a_file_that_changed_is_found_out() {
        let crc32 = crc32fast::hash(b"abc");
        assert_eq!(check(b"abc", 3, crc32), Ok(()));
        assert!(check(b"ab", 3, crc32).unwrap_err().contains("has 2 bytes"));
        assert!(check(b"abd", 3, crc32).unwrap_err().contains("checksum"));
    }
}
