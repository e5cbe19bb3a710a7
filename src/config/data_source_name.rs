//! A data source name as Go's MySQL driver has it: `user:password@tcp(host:3306)/database?tls=true`.
//!
//! Every part is found from the outside in, so that user and password may hold any character: the last `/` begins the
//! database, the last `@` before it ends the password. No error repeats the text, since it holds a password.

use super::secret::Secret;

/// What a data source name says.
#[derive(Debug, PartialEq)]
pub(crate) struct DataSourceName {
    pub user: String,
    pub password: Secret,
    /// `host:port` or the path of a socket.
    pub address: String,
    pub database: Option<String>,
    /// Decoded, in their order.
    pub parameters: Vec<(String, String)>,
}

pub(crate) fn parse(text: &str) -> Result<DataSourceName, String> {
    if text.contains("://") && !text.contains('(') {
        return Err("is a URL; write `user:password@tcp(host:3306)/`".to_owned());
    }
    let Some((before, after)) = text.rsplit_once('/') else {
        return Err("has no `/` after the address; write `user:password@tcp(host:3306)/`".to_owned());
    };
    let (account, server) = before.rsplit_once('@').unwrap_or(("", before));
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    let (protocol, address) = match server.split_once('(') {
        None => (server, ""),
        Some((protocol, rest)) => {
            let address = rest.strip_suffix(')');
            (protocol, address.ok_or("has no `)` after the address; write `user:password@tcp(host:3306)/`")?)
        }
    };
    let address = match (protocol, address) {
        ("" | "tcp", "") => "127.0.0.1:3306",
        ("unix", "") => "/tmp/mysql.sock",
        ("" | "tcp" | "unix", address) => address,
        _ => return Err("has a protocol that is neither `tcp` nor `unix`; write `tcp(host:3306)`".to_owned()),
    };
    let (database, parameters) = after.split_once('?').unwrap_or((after, ""));
    let pairs = parameters.split('&').filter_map(|pair| pair.split_once('='));
    Ok(DataSourceName {
        user: user.to_owned(),
        password: Secret::new(password),
        address: address.to_owned(),
        database: Some(decoded(database, false)).filter(|name| !name.is_empty()),
        parameters: pairs.map(|(name, value)| (name.to_owned(), decoded(value, true))).collect(),
    })
}

/// Percent encoding; in parameters `+` is a space.
fn decoded(text: &str, plus: bool) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| (*byte as char).to_digit(16));
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) if plus => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, user: &str, password: &str, address: &str, database: Option<&str>) {
        let parsed = parse(text).unwrap_or_else(|says| panic!("{text}: {says}"));
        assert_eq!((parsed.user.as_str(), parsed.password.expose()), (user, password), "{text}");
        assert_eq!((parsed.address.as_str(), parsed.database.as_deref()), (address, database), "{text}");
    }

    #[test]
    fn every_form_of_the_drivers_manual_is_read() {
        check("u:p@tcp(db:3307)/", "u", "p", "db:3307", None);
        check("u:p@(db:3307)/app", "u", "p", "db:3307", Some("app"));
        check("u@unix(/run/mysqld/mysqld.sock)/", "u", "", "/run/mysqld/mysqld.sock", None);
        check("u:p@tcp([::1]:3306)/a%2Fb?charset=utf8mb4", "u", "p", "[::1]:3306", Some("a/b"));
        check("u:p@/", "u", "p", "127.0.0.1:3306", None);
        check("u@unix/", "u", "", "/tmp/mysql.sock", None);
        check("/", "", "", "127.0.0.1:3306", None);
    }

    #[test]
    fn a_password_may_hold_any_character() {
        for c in (' '..='~').chain("ä密🔑".chars()) {
            let password = format!("a{c}b");
            check(&format!("u:{password}@tcp(db:1)/x?tls=true"), "u", &password, "db:1", Some("x"));
        }
        let all: String = (' '..='~').collect();
        check(&format!("u:{all}@tcp(db:1)/"), "u", &all, "db:1", None);
        check(&format!("u:{all}@unix(/a/b)/"), "u", &all, "/a/b", None);
    }

    #[test]
    fn parameters_are_decoded() {
        let parsed = parse("u@tcp(a:1)/?tls=skip-verify&x=a%20b+c&alone").expect("good");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parsed.parameters, [pair("tls", "skip-verify"), pair("x", "a b c")]);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, says) in [
            ("u:hunter2@tcp(db:1)", "no `/`"),
            ("u:hunter2@tcp(db:1/", "no `)`"),
            ("u:hunter2@pipe(x)/", "neither `tcp` nor `unix`"),
            ("postgresql://u:hunter2@db/x", "is a URL"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
