//! YAML as a tree that remembers where everything stands.
//!
//! A scalar keeps its text: whether `012345` is a number or a password is for its setting to say. What YAML can do and
//! a configuration does not need (tags, anchors, several documents) is refused here.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::syntax::{NO_ALIAS, NO_ANCHOR, NO_TAG, Spot, TOO_DEEP, explained};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub spot: Spot,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// No value, or `~`.
    Nothing,
    /// Something that was refused; there is nothing more to say about it.
    Refused,
    Text {
        text: String,
        /// Neither quoted nor a block.
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; a key may occur twice.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub spot: Spot,
    pub value: Node,
}

/// Something that a configuration may not have. The path is that of the keys around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub spot: Spot,
    pub path: Vec<String>,
    pub text: String,
}

/// The tree of a document, `None` when it is empty or broken; and what was refused.
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<Refusal>) {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), path: Vec::new(), opened: Vec::new(), refused: Vec::new() };
    let tree = match reader.document() {
        Ok(tree) => tree,
        Err(error) => {
            let (spot, says) = explained(text, &error, reader.opened.last().copied());
            reader.refused.push(Refusal { spot, path: Vec::new(), text: says });
            None
        }
    };
    (tree, reader.refused)
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    path: Vec<String>,
    /// Where the lists and maps around begin.
    opened: Vec<Spot>,
    refused: Vec<Refusal>,
}

/// More than any configuration needs, and little enough for the stack.
const DEEPEST: usize = 32;

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>, ScanError> {
        let mut tree = None;
        let mut documents = 0;
        while let Some((event, spot)) = self.next()? {
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents == 2 {
                        self.refuse(spot, "a second document begins here; one file holds one configuration");
                    }
                }
                Event::Nothing | Event::StreamStart | Event::DocumentEnd | Event::StreamEnd => {}
                event => {
                    let node = self.node(event, spot)?;
                    tree.get_or_insert(node);
                }
            }
        }
        Ok(tree)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Spot)>, ScanError> {
        let next = self.parser.next_event().transpose()?;
        Ok(next.map(|(event, span)| (event, Spot::from(span.start))))
    }

    fn node(&mut self, event: Event<'a>, spot: Spot) -> Result<Node, ScanError> {
        let content = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_yaml(spot, anchor, tag.is_some());
                if tag.is_some() {
                    return Ok(Node { spot, content: Content::Refused });
                }
                let plain = style == ScalarStyle::Plain;
                match plain && (text.is_empty() || text == "~") {
                    true => Content::Nothing,
                    false => Content::Text { text: text.into_owned(), plain },
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_yaml(spot, anchor, tag.is_some());
                self.list(spot)?
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_yaml(spot, anchor, tag.is_some());
                self.map(spot)?
            }
            Event::Alias(_) => {
                self.refuse(spot, NO_ALIAS);
                Content::Refused
            }
            _ => Content::Nothing,
        };
        Ok(Node { spot, content })
    }

    fn list(&mut self, spot: Spot) -> Result<Content, ScanError> {
        self.opened.push(spot);
        let mut items = Vec::new();
        while let Some((event, spot)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            self.path.push(format!("[{}]", items.len()));
            self.shallow(spot)?;
            items.push(self.node(event, spot)?);
            self.path.pop();
        }
        self.opened.pop();
        Ok(Content::List(items))
    }

    fn map(&mut self, spot: Spot) -> Result<Content, ScanError> {
        self.opened.push(spot);
        let mut entries = Vec::new();
        while let Some((event, spot)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let key = match &event {
                Event::Scalar(text, ..) => Some(text.clone().into_owned()),
                _ => None,
            };
            self.path.push(key.clone().unwrap_or_else(|| "?".to_owned()));
            self.shallow(spot)?;
            self.node(event, spot)?;
            let Some((event, value_spot)) = self.next()? else { break };
            let value = self.node(event, value_spot)?;
            self.path.pop();
            match key {
                Some(key) => entries.push(Entry { key, spot, value }),
                None => self.refuse(spot, "a key must be a plain name"),
            }
        }
        self.opened.pop();
        Ok(Content::Map(entries))
    }

    fn plain_yaml(&mut self, spot: Spot, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.refuse(spot, NO_ANCHOR);
        }
        if tagged {
            self.refuse(spot, NO_TAG);
        }
    }

    fn shallow(&self, spot: Spot) -> Result<(), ScanError> {
        match self.path.len() > DEEPEST {
            true => Err(ScanError::new_str(Marker::new(0, spot.line, spot.column - 1), TOO_DEEP)),
            false => Ok(()),
        }
    }

    fn refuse(&mut self, spot: Spot, text: &str) {
        self.refused.push(Refusal { spot, path: self.path.clone(), text: text.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spots(text: &str) -> Vec<(String, usize, usize)> {
        let (tree, refused) = read(text);
        assert_eq!(refused, [], "{text}");
        fn walk(node: &Node, out: &mut Vec<(String, usize, usize)>) {
            match &node.content {
                Content::Nothing | Content::Refused => out.push(("-".to_owned(), node.spot.line, node.spot.column)),
                Content::Text { text, .. } => out.push((text.clone(), node.spot.line, node.spot.column)),
                Content::List(items) => items.iter().for_each(|item| walk(item, out)),
                Content::Map(entries) => {
                    for entry in entries {
                        out.push((entry.key.clone(), entry.spot.line, entry.spot.column));
                        walk(&entry.value, out);
                    }
                }
            }
        }
        let mut out = Vec::new();
        tree.iter().for_each(|tree| walk(tree, &mut out));
        out
    }

    #[test]
    fn everything_has_its_line_and_column_from_one() {
        let found = spots("a:\r\n  bé: \"x\"\r\n  cé: [1, '2']\r\n# no\r\nd: ~\r\n");
        let expect: &[(&str, usize, usize)] = &[
            ("a", 1, 1),
            ("bé", 2, 3),
            ("x", 2, 7),
            ("cé", 3, 3),
            ("1", 3, 8),
            ("2", 3, 11),
            ("d", 5, 1),
            ("-", 5, 4),
        ];
        let found: Vec<(&str, usize, usize)> = found.iter().map(|(text, l, c)| (text.as_str(), *l, *c)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_scalar_keeps_its_text() {
        for text in ["012345", "true", "1e3", "null", "0x1f", "a#b", "a  b", "$x", "yes", "-x", "a:b", "1_000", "\\n"] {
            let (tree, refused) = read(&format!("p: {text}\n"));
            assert_eq!(refused, [], "{text}");
            let Some(Node { content: Content::Map(entries), .. }) = tree else { panic!("{text}: {tree:?}") };
            let expect = Content::Text { text: text.to_owned(), plain: true };
            assert_eq!(entries[0].value.content, expect, "{text}");
        }
    }

    #[test]
    fn empty_is_nothing() {
        for text in ["", "\n", "# only words\n", "---\n", "~\n"] {
            let (tree, refused) = read(text);
            assert_eq!(refused, [], "{text}");
            assert!(tree.is_none_or(|tree| tree.content == Content::Nothing), "{text}");
        }
    }

    fn refused(text: &str, line: usize, column: usize, says: &str) {
        let (_, refused) = read(text);
        let first = refused.first().unwrap_or_else(|| panic!("accepted: {text}"));
        assert_eq!((first.spot.line, first.spot.column), (line, column), "{text}: {}", first.text);
        assert!(first.text.contains(says), "{text}: {}", first.text);
        assert!(!first.text.contains("hunter2"), "{text}: {}", first.text);
    }

    #[test]
    fn what_is_not_plain_yaml_is_refused_where_it_stands() {
        refused("a: &x hunter2\n", 1, 4, "anchor");
        refused("a: *hunter2\n", 1, 4, "alias");
        refused("a: !hunter2\n", 1, 4, "tag");
        refused("a: !!str hunter2\n", 1, 4, "tag");
        refused("a: b\n---\na: c\n", 2, 1, "second document");
        refused("a:\n\tb: hunter2\n", 2, 1, "a tab indents this line");
        refused("a: @hunter2\n", 1, 4, "cannot begin with this character");
        refused("a: `hunter2\n", 1, 4, "cannot begin with this character");
        refused("a: \"hunter2\n", 1, 4, "not closed");
        refused("a: \"hunter2\nb: c\n", 1, 4, "not closed");
        refused("a: \"\\hunter2\"\n", 1, 4, "escape");
        refused("a: hunter2: b\n", 1, 11, "wants quotes");
        refused("a: [hunter2\n", 1, 4, "not closed");
        refused("a: {hunter2\nb: c\n", 1, 4, "not closed");
        refused("a: [hunter2\nb: c\n", 1, 4, "not closed");
        refused("a:\n  b:\n    c: [hunter2\n    d: e\n", 3, 8, "not closed");
        refused("a: {b: \"\\hunter2\"}\n", 1, 8, "escape");
        refused("a: [b, \"hunter2\nc: d\n", 1, 8, "not closed");
        refused(&format!("{}: hunter2\n", "x".repeat(1100)), 1, 1101, "more than 1024 characters");
        refused("a: [hunter2]]\n", 1, 13, "closes nothing");
        refused("a: 'hunter2' x\n", 1, 14, "follows the closing quote");
        refused("a: b\nhunter2\n\n", 2, 1, "a name without");
        refused("a:\n    b: 1\n  c: 2\n", 3, 3, "indentation");
        refused("a: - hunter2\n", 1, 4, "a list cannot begin here");
        refused("a: >hunter2\n", 1, 4, "block of text");
        refused("? [a]\n: b\n", 1, 3, "plain name");
        refused(&"[".repeat(200), 1, 34, "deeper");
    }

    #[test]
    fn no_text_breaks_the_reader() {
        let pieces = [
            "a:", " ", "\n", "\t", "-", "[", "]", "{", "}", "\"", "'", "&", "*", "!", "|", ">", "%", "@", "#", ",",
            "?", "é", "---", ":",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let text: String = (0..random.usize(1..12)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            read(&text);
        }
    }
}
