//! The names of an in-memory disk: directories, and the files they lead to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::DirEntry;
use super::content::Content;

/// Names a file whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(u64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir(u64),
    File(FileId),
}

#[derive(Clone)]
enum Change {
    Set(String, Node),
    Remove(String),
    Rename(String, String),
}

/// One directory: its names when last synced, its names now, and the changes in between.
#[derive(Default)]
struct Dir {
    durable: BTreeMap<String, Node>,
    current: BTreeMap<String, Node>,
    unsynced: Vec<Change>,
}

#[derive(Default)]
struct File {
    content: Content,
    handles: usize,
}

/// All directories and files. Directory 0 is the root.
pub(super) struct Tree {
    dirs: BTreeMap<u64, Dir>,
    files: BTreeMap<FileId, File>,
    next: u64,
}

const ROOT: u64 = 0;

impl Default for Tree {
    fn default() -> Self {
        Self {
            dirs: [(ROOT, Dir::default())].into(),
            files: BTreeMap::new(),
            next: 1,
        }
    }
}

impl Tree {
    pub(super) fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.lookup(path)? {
            Node::File(id) => Ok(id),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.lookup(path).is_ok()
    }

    pub(super) fn content(&mut self, id: FileId) -> &mut Content {
        &mut self.files.entry(id).or_default().content
    }

    /// A handle or mapping was opened: the bytes stay while it lives, name or no name.
    pub(super) fn retain(&mut self, id: FileId) {
        self.files.entry(id).or_default().handles += 1;
    }

    /// A handle or mapping is gone.
    pub(super) fn release(&mut self, id: FileId) {
        if let Some(file) = self.files.get_mut(&id) {
            file.handles = file.handles.saturating_sub(1);
        }
        self.collect(id);
    }

    pub(super) fn used(&self) -> u64 {
        self.files
            .values()
            .map(|file| super::stored(&file.content))
            .sum()
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<FileId> {
        let (dir, name) = self.parent(path)?;
        let id = FileId(self.fresh());
        self.files.insert(id, File::default());
        self.change(dir, Change::Set(name, Node::File(id)));
        Ok(id)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names(path) {
            dir = match self.dirs.get(&dir).and_then(|dir| dir.current.get(&name)) {
                Some(Node::Dir(id)) => *id,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => {
                    let id = self.fresh();
                    self.dirs.insert(id, Dir::default());
                    self.change(dir, Change::Set(name, Node::Dir(id)));
                    id
                }
            };
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let dir = self.dir(path)?;
        let entry = |(name, node): (&String, &Node)| DirEntry {
            name: name.clone(),
            is_dir: matches!(node, Node::Dir(_)),
        };
        Ok(self
            .dirs
            .get(&dir)
            .into_iter()
            .flat_map(|dir| dir.current.iter().map(entry))
            .collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.lookup(from)?;
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let replaced = self
            .dirs
            .get(&to_dir)
            .and_then(|dir| dir.current.get(&to_name))
            .copied();
        if let (Some(Node::Dir(_)), _) | (Some(_), Node::Dir(_)) = (replaced, node) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if from_dir == to_dir {
            self.change(from_dir, Change::Rename(from_name, to_name));
        } else {
            self.change(to_dir, Change::Set(to_name, node));
            self.change(from_dir, Change::Remove(from_name));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path, want_dir: bool) -> io::Result<()> {
        match (self.lookup(path)?, want_dir) {
            (Node::File(_), true) => Err(io::ErrorKind::NotADirectory.into()),
            (Node::Dir(_), false) => Err(io::ErrorKind::IsADirectory.into()),
            _ => {
                let (dir, name) = self.parent(path)?;
                self.change(dir, Change::Remove(name));
                Ok(())
            }
        }
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let id = self.dir(path)?;
        if let Some(dir) = self.dirs.get_mut(&id) {
            dir.durable = dir.current.clone();
            dir.unsynced.clear();
        }
        self.collect_all();
        Ok(())
    }

    pub(super) fn crash(&mut self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        for dir in self.dirs.values_mut() {
            let kept = random.random_range(0..=dir.unsynced.len());
            for change in std::mem::take(&mut dir.unsynced).into_iter().take(kept) {
                apply(&mut dir.durable, &change);
            }
            dir.current = dir.durable.clone();
        }
        for file in self.files.values_mut() {
            file.content.crash(&mut random);
            file.handles = 0;
        }
        self.collect_all();
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn lookup(&self, path: &Path) -> io::Result<Node> {
        names(path).try_fold(Node::Dir(ROOT), |node, name| match node {
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
            Node::Dir(id) => self
                .dirs
                .get(&id)
                .and_then(|dir| dir.current.get(&name).copied())
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        })
    }

    fn dir(&self, path: &Path) -> io::Result<u64> {
        match self.lookup(path)? {
            Node::Dir(id) => Ok(id),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn parent(&self, path: &Path) -> io::Result<(u64, String)> {
        let name = names(path).last().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.dir(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn change(&mut self, dir: u64, change: Change) {
        let Some(dir) = self.dirs.get_mut(&dir) else {
            return;
        };
        let lost = match &change {
            Change::Set(name, _) | Change::Remove(name) | Change::Rename(_, name) => {
                dir.current.get(name).copied()
            }
        };
        apply(&mut dir.current, &change);
        dir.unsynced.push(change);
        if let Some(Node::File(id)) = lost {
            self.collect(id);
        }
    }

    /// Forgets a file that no name, durable or not, and no handle leads to any more.
    fn collect(&mut self, id: FileId) {
        let open = self.files.get(&id).is_some_and(|file| file.handles > 0);
        let named = self.dirs.values().any(|dir| dir.mentions(Node::File(id)));
        if !open && !named {
            self.files.remove(&id);
        }
    }

    fn collect_all(&mut self) {
        for id in self.files.keys().copied().collect::<Vec<_>>() {
            self.collect(id);
        }
    }
}

impl Dir {
    fn mentions(&self, node: Node) -> bool {
        self.current
            .values()
            .chain(self.durable.values())
            .any(|known| *known == node)
            || self
                .unsynced
                .iter()
                .any(|change| matches!(change, Change::Set(_, n) if *n == node))
    }
}

fn apply(names: &mut BTreeMap<String, Node>, change: &Change) {
    match change {
        Change::Set(name, node) => {
            names.insert(name.clone(), *node);
        }
        Change::Remove(name) => {
            names.remove(name);
        }
        Change::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

fn names(path: &Path) -> impl Iterator<Item = String> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}
