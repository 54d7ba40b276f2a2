//! `meta.properties`: which cluster, node and directory a data directory belongs to
//! (`MetaProperties.java`, version 1), in the form of Java's property files.

use uuid::Uuid;

use crate::types::uuid_text;

/// The file's name.
pub(crate) const FILE_NAME: &str = "meta.properties";

/// A data directory's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetaProperties {
    /// The cluster's id: free text, usually a UUID in Kafka's text form.
    pub(crate) cluster_id: String,
    /// The node that owns the directory.
    pub(crate) node_id: i32,
    /// Tells this directory from the node's others; absent in directories of older brokers.
    pub(crate) directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// The file's content.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!(
            "#\ncluster.id={}\nnode.id={}\nversion=1\n",
            escape(&self.cluster_id),
            self.node_id
        );
        if let Some(id) = self.directory_id {
            text.push_str(&format!("directory.id={}\n", uuid_text::to_text(id)));
        }
        text.into_bytes()
    }

    /// Reads a file's content; the error says what is wrong.
    pub(crate) fn decode(content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "not UTF-8".to_owned())?;
        let find = |name: &str| {
            text.lines()
                .rev()
                .filter_map(property)
                .find_map(|(key, value)| (key == name).then_some(value))
        };
        let require = |name: &str| find(name).ok_or_else(|| format!("{name} is missing"));
        match find("version").as_deref() {
            Some("1") => {}
            other => return Err(format!("version {other:?}, only 1 is readable here")),
        }
        let node = require("node.id")?;
        let directory_id = match find("directory.id") {
            None => None,
            Some(text) => Some(
                uuid_text::from_text(&text).map_err(|error| format!("directory.id: {error}"))?,
            ),
        };
        Ok(Self {
            cluster_id: require("cluster.id")?,
            node_id: node
                .parse()
                .map_err(|_| format!("node.id {node:?} is no number"))?,
            directory_id,
        })
    }
}

/// Key and value of a line; `None` for comments and blank lines. The separator is the first `=`,
/// `:` or blank; a backslash takes the next character as it is. (Kafka writes nothing that needs
/// more of the format than this.)
fn property(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let mut key = String::new();
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => key.extend(rest.next()),
            '=' | ':' | ' ' | '\t' => break,
            other => key.push(other),
        }
    }
    let value = rest.as_str().trim_start_matches([' ', '\t', '=', ':']);
    let mut unescaped = String::new();
    let mut rest = value.chars();
    while let Some(next) = rest.next() {
        if next == '\\' {
            unescaped.extend(rest.next())
        } else {
            unescaped.push(next)
        }
    }
    Some((key, unescaped))
}

fn escape(value: &str) -> String {
    let mut escaped = String::new();
    for next in value.chars() {
        if matches!(next, '\\' | '=' | ':' | '#' | '!' | ' ') {
            escaped.push('\\');
        }
        escaped.push(next);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> MetaProperties {
        MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: 1,
            directory_id: Some(Uuid::from_u128(1)),
        }
    }

    #[test]
    fn the_text_is_kafkas() {
        let frozen = b"#\ncluster.id=4L6g3nShT-eMCtK--X86sw\nnode.id=1\nversion=1\n\
            directory.id=AAAAAAAAAAAAAAAAAAAAAQ\n";
        assert_eq!(sample().encode(), frozen);
        assert_eq!(MetaProperties::decode(frozen), Ok(sample()));
    }

    #[test]
    fn what_java_writes_is_read() {
        let java = "#\n#Mon Nov 23 19:02:04 UTC 2026\ncluster.id=4L6g3nShT-eMCtK--X86sw\r\n\
            directory.id = AAAAAAAAAAAAAAAAAAAAAQ\nnode.id:1\nversion 1\nother=x\n";
        assert_eq!(MetaProperties::decode(java.as_bytes()), Ok(sample()));
        let odd = MetaProperties {
            cluster_id: "a b=c:\\#".into(),
            ..sample()
        };
        assert_eq!(MetaProperties::decode(&odd.encode()), Ok(odd));
        let old = MetaProperties {
            directory_id: None,
            ..sample()
        };
        assert_eq!(MetaProperties::decode(&old.encode()), Ok(old));
    }

    #[test]
    fn damaged_text_says_what_is_wrong() {
        let check = |content: &str, expected: &str| {
            let error = MetaProperties::decode(content.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("", "version");
        check("version=0\nbroker.id=1\n", "version");
        check("version=1\nnode.id=1\n", "cluster.id");
        check("version=1\ncluster.id=a\n", "node.id");
        check("version=1\ncluster.id=a\nnode.id=x\n", "node.id");
        check(
            "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=x\n",
            "directory.id",
        );
    }
}
