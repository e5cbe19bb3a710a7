//! YAML as a tree that remembers where everything stands.
//!
//! A scalar keeps its text: whether `012345` is a number or a password is for its setting to say. What YAML can do and
//! a configuration does not need (tags, anchors, several documents) is refused here.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

/// A place in a text: line and column, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub line: usize,
    pub column: usize,
}

impl From<Marker> for Spot {
    fn from(mark: Marker) -> Spot {
        Spot { line: mark.line(), column: mark.col() + 1 }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub spot: Spot,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// No value, or `~`.
    Nothing,
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
    let mut reader = Reader { text, parser: Parser::new_from_str(text), path: Vec::new(), refused: Vec::new() };
    let tree = match reader.document() {
        Ok(tree) => tree,
        Err(error) => {
            let (spot, says) = explained(text, &error);
            reader.refused.push(Refusal { spot, path: Vec::new(), text: says });
            None
        }
    };
    (tree, reader.refused)
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    path: Vec<String>,
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
                let plain = style == ScalarStyle::Plain;
                match plain && (text.is_empty() || text == "~") {
                    true => Content::Nothing,
                    false => Content::Text { text: text.into_owned(), plain },
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_yaml(spot, anchor, tag.is_some());
                self.list()?
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_yaml(spot, anchor, tag.is_some());
                self.map()?
            }
            Event::Alias(_) => {
                self.refuse(spot, NO_ALIAS);
                Content::Nothing
            }
            _ => Content::Nothing,
        };
        Ok(Node { spot, content })
    }

    fn list(&mut self) -> Result<Content, ScanError> {
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
        Ok(Content::List(items))
    }

    fn map(&mut self) -> Result<Content, ScanError> {
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
        debug_assert!(spot.line <= self.text.lines().count() + 1);
        self.refused.push(Refusal { spot, path: self.path.clone(), text: text.to_owned() });
    }
}

const NO_ANCHOR: &str =
    "`&` begins an anchor; what targets share goes under `defaults:`, and text that begins with `&` wants quotes";
const NO_ALIAS: &str =
    "`*` begins an alias; what targets share goes under `defaults:`, and text that begins with `*` wants quotes";
const NO_TAG: &str = "`!` begins a tag, which a configuration does not need; text that begins with `!` wants quotes";
const TOO_DEEP: &str = "this is nested deeper than any setting";

/// The parser's error in the words of someone who edits the file. It never repeats the text, which may be a password.
fn explained(text: &str, error: &ScanError) -> (Spot, String) {
    let spot = Spot::from(*error.marker());
    let line = |number: usize| text.lines().nth(number.wrapping_sub(1)).unwrap_or_default();
    // The parser notices a tab at the end of its line or on a later one.
    for number in [spot.line.saturating_sub(1), spot.line, spot.line + 1] {
        let line = line(number);
        let indentation = &line[..line.len() - line.trim_start().len()];
        if let Some(tab) = indentation.find('\t').filter(|_| !line.trim().is_empty()) {
            return (Spot { line: number, column: tab + 1 }, "a tab indents this line; YAML wants spaces".to_owned());
        }
    }
    let found = line(spot.line).chars().nth(spot.column - 1);
    let info = error.info();
    let says = match info {
        TOO_DEEP => TOO_DEEP.to_owned(),
        "while parsing node, found unknown anchor" => NO_ALIAS.to_owned(),
        "recursion limit exceeded" => TOO_DEEP.to_owned(),
        "mapping values are not allowed in this context" => {
            "a second `:` in one line, or a wrong indentation; text that holds `: ` wants quotes".to_owned()
        }
        _ if info.starts_with("unexpected character") || info.contains("cannot start any token") => match found {
            Some(found) => format!("`{found}` cannot begin a value; put the text in quotes"),
            None => "this cannot begin a value; put the text in quotes".to_owned(),
        },
        _ if info.contains("quoted scalar") && info.contains("end of stream") => {
            "a quote is opened and not closed".to_owned()
        }
        _ if info.contains("escape") => {
            "an unknown escape in double quotes; write `\\\\` for a backslash, or use single quotes".to_owned()
        }
        _ if info.contains("trailing content") => "something follows the closing quote".to_owned(),
        _ if info.contains("unknown") && info.contains("tag") => NO_TAG.to_owned(),
        _ if info.contains("tag") => NO_TAG.to_owned(),
        _ if info.contains("anchor") => NO_ANCHOR.to_owned(),
        _ if info.contains("flow") || info.contains("bracket") => {
            "a `[` or `{` is not closed, or a comma is missing; text that begins with one wants quotes".to_owned()
        }
        _ => "the line or the one before it is not YAML: look at the indentation, the `:` and the quotes".to_owned(),
    };
    (spot, says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spots(text: &str) -> Vec<(String, usize, usize)> {
        let (tree, refused) = read(text);
        assert_eq!(refused, [], "{text}");
        fn walk(node: &Node, out: &mut Vec<(String, usize, usize)>) {
            match &node.content {
                Content::Nothing => out.push(("-".to_owned(), node.spot.line, node.spot.column)),
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
        for text in ["012345", "true", "1e3", "null", "0x1f", "a#b", "a  b", "$x", "yes", "-", "a:b", "1_000", "\\n"] {
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
        refused("a: @hunter2\n", 1, 4, "`@` cannot begin a value");
        refused("a: `hunter2\n", 1, 4, "cannot begin a value");
        refused("a: \"hunter2\n", 2, 1, "not closed");
        refused("a: \"\\hunter2\"\n", 1, 5, "escape");
        refused("a: hunter2: b\n", 1, 11, "wants quotes");
        refused("a: [hunter2\n", 2, 1, "not closed");
        refused("a: {hunter2\nb: c\n", 2, 2, "");
        refused("a: 'hunter2' x\n", 1, 13, "");
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
