//! The directories of the simulated disk: what programs see, and what survives a power loss.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};

use hallows_runtime::{DirectoryEntry, Random};

use super::contents::Survival;
use super::faults::FaultCounts;
use crate::random::Choose;

/// Names a file's bytes, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct InodeId(pub(super) u64);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct DirectoryId(usize);

const ROOT: DirectoryId = DirectoryId(0);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    File(InodeId),
    Directory(DirectoryId),
}

/// One change of a directory that is not durable.
#[derive(Clone, Debug)]
enum Change {
    Set { name: String, node: Node },
    Clear { name: String },
    Rename { from: String, to: String, node: Node },
}

impl Change {
    fn apply(&self, entries: &mut BTreeMap<String, Node>) {
        match self {
            Self::Set { name, node } => {
                entries.insert(name.clone(), *node);
            }
            Self::Clear { name } => {
                entries.remove(name);
            }
            Self::Rename { from, to, node } => {
                if entries.get(from) == Some(node) {
                    entries.remove(from);
                }
                entries.insert(to.clone(), *node);
            }
        }
    }

    const fn node(&self) -> Option<Node> {
        match self {
            Self::Set { node, .. } | Self::Rename { node, .. } => Some(*node),
            Self::Clear { .. } => None,
        }
    }
}

#[derive(Default)]
struct Directory {
    /// What programs see.
    entries: BTreeMap<String, Node>,
    /// What the medium has for certain, unless `unsynced` changes it.
    durable: BTreeMap<String, Node>,
    /// Changes since, oldest first. A crash lets any of them through, in this order.
    unsynced: Vec<Change>,
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.entries);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.entries);
        self.unsynced.clear();
    }

    fn lose_power(&mut self, random: &mut Random, counts: &mut FaultCounts) {
        let survival = Survival::choose(random);
        let mut earlier_missing = false;
        for change in self.unsynced.drain(..) {
            let kept = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Some => random.one_in(2),
            };
            if kept {
                change.apply(&mut self.durable);
                counts.names_reordered += u64::from(earlier_missing);
            } else {
                counts.names_lost += 1;
                earlier_missing = true;
            }
        }
        self.entries.clone_from(&self.durable);
    }
}

/// All directories.
pub(super) struct Names {
    /// Never reused and never removed: a removal may be undone by a crash.
    directories: Vec<Directory>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            directories: vec![Directory::default()],
        }
    }

    fn directory(&self, path: &str) -> Option<DirectoryId> {
        let mut id = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.directories[id.0].entries.get(name) {
                Some(Node::Directory(inner)) => id = *inner,
                _ => return None,
            }
        }
        Some(id)
    }

    fn directory_of<'a>(&self, path: &'a str) -> io::Result<(DirectoryId, &'a str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let id = self.directory(parent).ok_or(ErrorKind::NotFound)?;
        if name.is_empty() {
            Err(ErrorKind::InvalidInput.into())
        } else {
            Ok((id, name))
        }
    }

    /// The file of a path.
    pub(super) fn file(&self, path: &str) -> io::Result<InodeId> {
        let (directory, name) = self.directory_of(path)?;
        match self.directories[directory.0].entries.get(name) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Names a new file.
    pub(super) fn create(&mut self, path: &str, inode: InodeId) -> io::Result<()> {
        let (directory, name) = self.directory_of(path)?;
        let directory = &mut self.directories[directory.0];
        if directory.entries.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        directory.change(Change::Set {
            name: name.to_owned(),
            node: Node::File(inode),
        });
        Ok(())
    }

    /// Creates directories; durable at once unless the machine dies in the middle.
    pub(super) fn create_directory(&mut self, path: &str, dies: bool) -> io::Result<()> {
        let mut id = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            id = match self.directories[id.0].entries.get(name) {
                Some(Node::Directory(inner)) => *inner,
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => {
                    let inner = DirectoryId(self.directories.len());
                    self.directories.push(Directory::default());
                    let node = Node::Directory(inner);
                    let outer = &mut self.directories[id.0];
                    outer.change(Change::Set {
                        name: name.to_owned(),
                        node,
                    });
                    if !dies {
                        outer.sync();
                    }
                    inner
                }
            };
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &str) -> Vec<DirectoryEntry> {
        let Some(id) = self.directory(path) else {
            return Vec::new();
        };
        let entries = self.directories[id.0].entries.iter();
        entries
            .map(|(name, node)| DirectoryEntry {
                name: name.clone(),
                is_directory: matches!(node, Node::Directory(_)),
            })
            .collect()
    }

    /// Renames inside one directory, which is all the engine does.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.file(from)?;
        let (source, from) = self.directory_of(from)?;
        let (target, to) = self.directory_of(to)?;
        if source != target {
            return Err(ErrorKind::CrossesDevices.into());
        }
        let node = Node::File(inode);
        self.directories[source.0].change(Change::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            node,
        });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        match self.file(path) {
            Ok(_) => {
                let (directory, name) = self.directory_of(path)?;
                self.directories[directory.0].change(Change::Clear { name: name.to_owned() });
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove_directory(&mut self, path: &str) -> io::Result<()> {
        let Some(id) = self.directory(path) else { return Ok(()) };
        if !self.directories[id.0].entries.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let (directory, name) = self.directory_of(path)?;
        self.directories[directory.0].change(Change::Clear { name: name.to_owned() });
        Ok(())
    }

    pub(super) fn sync(&mut self, path: &str) -> io::Result<()> {
        let id = self.directory(path).ok_or(ErrorKind::NotFound)?;
        self.directories[id.0].sync();
        Ok(())
    }

    pub(super) fn sync_all(&mut self) {
        self.directories.iter_mut().for_each(Directory::sync);
    }

    /// The kernel commits names of its own accord.
    pub(super) fn write_back(&mut self, random: &mut Random) {
        let index = random.index(self.directories.len());
        self.directories[index].sync();
    }

    pub(super) fn lose_power(&mut self, random: &mut Random, counts: &mut FaultCounts) {
        for directory in &mut self.directories {
            directory.lose_power(random, counts);
        }
    }

    /// Files that have a name now or may have one after a crash.
    pub(super) fn possible(&self) -> BTreeSet<InodeId> {
        let mut inodes = BTreeSet::new();
        for directory in &self.directories {
            let known = directory.entries.values().chain(directory.durable.values()).copied();
            let nodes = known.chain(directory.unsynced.iter().filter_map(Change::node));
            inodes.extend(nodes.filter_map(|node| match node {
                Node::File(inode) => Some(inode),
                Node::Directory(_) => None,
            }));
        }
        inodes
    }
}
