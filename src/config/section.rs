//! One section of my.cnf as an account: what it says of its keys, and TLS in the words of mysqld_exporter.

use std::path::PathBuf;

use super::exporter_flags::{GivenFlag, given};
use super::my_cnf::{Entry, MyCnf};
use super::origin::Place;
use super::shape::{Tls, TlsMode, TlsVersion};

/// A text with the place that says it, and the word that it is said by there: `[client] host`.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub text: String,
    pub place: Place,
    pub word: String,
}

impl Said {
    /// What a flag says.
    pub(crate) fn by(given: &GivenFlag) -> Said {
        Said { text: given.last().to_owned(), place: Place::Flag(given.typed.clone()), word: String::new() }
    }
}

/// A section, and the flags that count for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    pub section: &'a str,
    pub my_cnf: &'a MyCnf,
    pub flags: &'a [GivenFlag],
}

impl Account<'_> {
    /// What a section says of a key; nothing is as good as none.
    pub(crate) fn text(&self, key: &str) -> Option<Said> {
        let Entry { value, place } = self.my_cnf.of(self.section, key)?;
        let text = value.clone().filter(|text| !text.is_empty())?;
        Some(Said { text, place: place.clone(), word: self.word(key) })
    }

    pub(crate) fn word(&self, key: &str) -> String {
        format!("[{}] {key}", self.section)
    }

    /// A switch by any of its names; alone it is on.
    pub(crate) fn switch(&self, names: &[&str]) -> Result<Option<Said>, Said> {
        let Some((key, entry)) = names.iter().find_map(|key| Some((key, self.my_cnf.of(self.section, key)?))) else {
            return Ok(None);
        };
        let said = |text: String| Said { text, place: entry.place.clone(), word: self.word(key) };
        let text = entry.value.as_deref().unwrap_or("true");
        match is_true(text) {
            Some(on) => Ok(Some(said(on.to_string()))),
            None => Err(said(format!("`{text}` is neither true nor false"))),
        }
    }

    /// TLS as a section has it, with its files only where they are of use. mysqld_exporter drops the client's
    /// certificate when there is no `ssl-ca`, or nothing is to be verified; here it counts.
    pub(crate) fn tls(&self) -> Result<TlsSaid, Vec<Said>> {
        let mut wrong = Vec::new();
        let skip = self.switch(&["ssl-skip-verfication", "ssl-skip-verification"]).unwrap_or_else(|says| {
            wrong.push(says);
            None
        });
        let flag = given(self.flags, "tls.insecure-skip-verify").map(Said::by);
        let skip = skip.or(flag).filter(|said| said.text == "true");
        let text = |key: &str| self.text(key);
        let (ca, cert, key) = (text("ssl-ca"), text("ssl-cert"), text("ssl-key"));
        let chosen = text("tls").filter(|tls| tls.text != "custom");
        if let Some(tls) = chosen.as_ref().filter(|tls| mode_of(&tls.text).is_none()) {
            wrong.push(Said { text: not_a_mode(&tls.text), ..tls.clone() });
        }
        let mode = |said: &Said, mode: &str| Some(Said { text: mode.to_owned(), ..said.clone() });
        let mode = match (&chosen, &skip, &ca, cert.as_ref().or(key.as_ref())) {
            (Some(tls), None, ..) => mode(tls, mode_of(&tls.text).unwrap_or_default()),
            (Some(tls), Some(skip), ..) => match mode_of(&tls.text).unwrap_or_default() {
                "VERIFY_IDENTITY" => mode(skip, "REQUIRED"),
                other => mode(tls, other),
            },
            (None, Some(skip), ..) => mode(skip, "REQUIRED"),
            (None, None, Some(ca), _) => mode(ca, "VERIFY_IDENTITY"),
            // What the mysql client does with the same file.
            (None, None, None, Some(cert)) => mode(cert, "PREFERRED"),
            (None, None, None, None) => None,
        };
        let is = |mode: &Option<Said>, name: &str| mode.as_ref().is_some_and(|mode| mode.text == name);
        let is_on = mode.is_some() && !is(&mode, "DISABLED");
        let is_verified = is(&mode, "VERIFY_IDENTITY");
        let min_version = text("tls-min-version").and_then(|said| match tls_version(&said.text) {
            Some(version) => Some(Said { text: version.to_owned(), ..said }),
            None => {
                wrong.push(Said { text: not_a_version(&said.text), ..said });
                None
            }
        });
        if let Some(said) = text("tls-max-version").filter(|said| tls_version(&said.text).is_none()) {
            wrong.push(Said { text: not_a_version(&said.text), ..said });
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(TlsSaid {
            ca: ca.filter(|_| is_verified),
            cert: cert.filter(|_| is_on),
            key: key.filter(|_| is_on),
            server_name: text("tls-server-name").filter(|_| is_on),
            min_version: min_version.filter(|_| is_on),
            mode,
        })
    }
}

/// The settings of `tls` that are said.
#[derive(Debug, Default)]
pub(crate) struct TlsSaid {
    pub mode: Option<Said>,
    ca: Option<Said>,
    cert: Option<Said>,
    key: Option<Said>,
    server_name: Option<Said>,
    min_version: Option<Said>,
}

impl TlsSaid {
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&'static str, &Said)> {
        let all = [
            ("tls.mode", &self.mode),
            ("tls.ca", &self.ca),
            ("tls.cert", &self.cert),
            ("tls.key", &self.key),
            ("tls.server_name", &self.server_name),
            ("tls.min_version", &self.min_version),
        ];
        all.into_iter().filter_map(|(setting, said)| Some((setting, said.as_ref()?)))
    }

    /// For an account that is used later: its files are read then.
    pub(crate) fn finished(self) -> Tls {
        let path = |said: Option<Said>| said.map(|said| PathBuf::from(said.text));
        let text = |said: &Option<Said>| said.as_ref().map(|said| said.text.clone()).unwrap_or_default();
        Tls {
            mode: match text(&self.mode).as_str() {
                "VERIFY_IDENTITY" => TlsMode::VerifyIdentity,
                "REQUIRED" => TlsMode::Required,
                "PREFERRED" => TlsMode::Preferred,
                _ => TlsMode::Disabled,
            },
            min_version: if text(&self.min_version) == "1.3" { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
            ca: path(self.ca),
            cert: path(self.cert),
            key: path(self.key),
            server_name: self.server_name.map(|said| said.text),
        }
    }
}

/// Words of Go's MySQL driver.
pub(crate) fn mode_of(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "skip-verify" => Some("REQUIRED"),
        "preferred" => Some("PREFERRED"),
        text => is_true(text).map(|on| if on { "VERIFY_IDENTITY" } else { "DISABLED" }),
    }
}

pub(crate) fn not_a_mode(text: &str) -> String {
    format!("`{text}` is not one of true, false, skip-verify or preferred")
}

/// `TLSv1.2`, `TLS12` and `1.2` are one. What is older than we can is the oldest that we can.
pub(crate) fn tls_version(text: &str) -> Option<&'static str> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match digits.as_str() {
        "1" | "10" | "11" | "12" => Some("1.2"),
        "13" => Some("1.3"),
        _ => None,
    }
}

fn not_a_version(text: &str) -> String {
    format!("`{text}` is not a version of TLS; write 1.2 or 1.3")
}

pub(crate) fn is_true(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Some(true),
        "0" | "false" | "off" | "no" => Some(false),
        _ => None,
    }
}
