//! Statements and their answers, in the text protocol.

use std::io;

use mysql_common::constants::StatusFlags;
use mysql_common::io::ParseBuf;

use super::super::rows::Rows;
use super::packets::{CONTINUED, ErrPacket, Trouble, Wire, malformed};

const COM_QUERY: u8 = 0x03;
const COM_PING: u8 = 0x0E;
const COM_QUIT: u8 = 0x01;

const OK: u8 = 0x00;
const LOCAL_INFILE: u8 = 0xFB;
const NULL: u8 = 0xFB;
const END: u8 = 0xFE;

/// The most that an answer may take. What we ask for has some hundred KB at most.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Runs a statement. Of several result sets the first is returned, and all are read.
pub(super) async fn query(wire: &mut Wire, sql: &str, deprecate_eof: bool) -> Result<Rows, Trouble> {
    let mut command = vec![COM_QUERY];
    command.extend_from_slice(sql.as_bytes());
    wire.command(&command).await?;
    let mut room = MOST_BYTES;
    let (rows, mut more) = answer(wire, deprecate_eof, &mut room).await?;
    while more {
        (_, more) = answer(wire, deprecate_eof, &mut room).await?;
    }
    Ok(rows)
}

/// How much of an answer is kept.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    pub rows: usize,
    /// Of the rows, as they come.
    pub bytes: usize,
    /// What of an answer that is too large is still read, unkept, so that the connection can be left in order.
    pub read_out: usize,
}

/// What an answer had too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    Rows,
    Bytes,
}

/// An answer that is kept, or is too large; where it was not read to its end, the connection is of no more use.
pub(super) enum Bounded {
    Whole(Rows),
    Beyond { what: Beyond, is_read_out: bool },
}

/// Runs a statement whose answer may be of any size. It is one result set: who asks did not ask for several statements.
pub(super) async fn bounded(wire: &mut Wire, sql: &str, deprecate_eof: bool, most: Most) -> Result<Bounded, Trouble> {
    let mut command = vec![COM_QUERY];
    command.extend_from_slice(sql.as_bytes());
    wire.command(&command).await?;
    let mut room = MOST_BYTES;
    let Beginning::Columns(mut rows) = beginning(wire, deprecate_eof, &mut room).await? else {
        return Ok(Bounded::Whole(Rows::default()));
    };
    let (mut bytes, mut beyond) = (0, None);
    loop {
        let packet = wire.read(CONTINUED).await?;
        match packet.first() {
            Some(&ErrPacket::HEADER) => return Err(Trouble::Server(ErrPacket::parse(&packet)?)),
            Some(&END) if more_after_end(&packet, deprecate_eof) => {
                return Err(malformed("several answers to one statement").into());
            }
            Some(&END) => break,
            _ => {}
        }
        bytes += packet.len();
        beyond = beyond.or(match () {
            () if rows.len() >= most.rows => Some(Beyond::Rows),
            () if bytes > most.bytes => Some(Beyond::Bytes),
            () => None,
        });
        match beyond {
            None => row(&packet, &mut rows).ok_or_else(|| malformed("a row that cannot be read"))?,
            Some(what) if bytes > most.read_out => return Ok(Bounded::Beyond { what, is_read_out: false }),
            Some(_) => rows = Rows::default(),
        }
    }
    Ok(match beyond {
        None => Bounded::Whole(rows),
        Some(what) => Bounded::Beyond { what, is_read_out: true },
    })
}

/// Asks the server whether it is there.
pub(super) async fn ping(wire: &mut Wire) -> Result<(), Trouble> {
    send_ping(wire).await?;
    pong(wire).await
}

pub(super) async fn send_ping(wire: &mut Wire) -> io::Result<()> {
    wire.command(&[COM_PING]).await
}

/// The answer to a ping. Cancel-safe.
pub(super) async fn pong(wire: &mut Wire) -> Result<(), Trouble> {
    let packet = wire.read(CONTINUED).await?;
    match packet.first() {
        Some(&OK) => Ok(()),
        Some(&ErrPacket::HEADER) => Err(Trouble::Server(ErrPacket::parse(&packet)?)),
        _ => Err(malformed("an answer to a ping that is neither yes nor no").into()),
    }
}

/// Takes leave, and waits until the server has closed the connection: it then knows that this was on purpose.
pub(super) async fn quit(wire: &mut Wire) -> io::Result<()> {
    wire.command(&[COM_QUIT]).await?;
    wire.drain().await
}

// One result set, and whether another one follows.
async fn answer(wire: &mut Wire, deprecate_eof: bool, room: &mut usize) -> Result<(Rows, bool), Trouble> {
    let mut rows = match beginning(wire, deprecate_eof, room).await? {
        Beginning::NoRows { more } => return Ok((Rows::default(), more)),
        Beginning::Columns(rows) => rows,
    };
    loop {
        let packet = read(wire, room).await?;
        match packet.first() {
            Some(&ErrPacket::HEADER) => return Err(Trouble::Server(ErrPacket::parse(&packet)?)),
            // A value of 16 MiB or more would begin with the same byte, and has no place in one packet.
            Some(&END) => return Ok((rows, more_after_end(&packet, deprecate_eof))),
            _ => row(&packet, &mut rows).ok_or_else(|| malformed("a row that cannot be read"))?,
        }
    }
}

/// How an answer begins: with the columns of the rows that come, or there are none.
enum Beginning {
    NoRows { more: bool },
    Columns(Rows),
}

async fn beginning(wire: &mut Wire, deprecate_eof: bool, room: &mut usize) -> Result<Beginning, Trouble> {
    let head = wire.read(CONTINUED).await?;
    match head.first() {
        Some(&OK) => return Ok(Beginning::NoRows { more: more_after_ok(&head) }),
        Some(&ErrPacket::HEADER) => return Err(Trouble::Server(ErrPacket::parse(&head)?)),
        Some(&LOCAL_INFILE) => return Err(malformed("a request for a file of this machine").into()),
        _ => {}
    }
    let count = ParseBuf(&head).checked_eat_lenenc_int().ok_or_else(|| malformed("an answer without a beginning"))?;
    let mut rows = Rows::default();
    for _ in 0..count {
        let packet = read(wire, room).await?;
        if packet.first() == Some(&ErrPacket::HEADER) {
            return Err(Trouble::Server(ErrPacket::parse(&packet)?));
        }
        rows.push_column(column(&packet).ok_or_else(|| malformed("a column that cannot be read"))?);
    }
    if !deprecate_eof && !matches!(read(wire, room).await?[..], [END, ..]) {
        return Err(malformed("columns without an end").into());
    }
    Ok(Beginning::Columns(rows))
}

async fn read(wire: &mut Wire, room: &mut usize) -> io::Result<bytes::Bytes> {
    let packet = wire.read(CONTINUED).await?;
    // The values of a row take more here than on the wire, the empty ones above all.
    let cost = packet.len() * 2 + 64;
    *room = room.checked_sub(cost).ok_or_else(|| malformed("an answer without an end"))?;
    Ok(packet)
}

// The sixth text of a column's definition is its name in the table; the fifth is its name in the answer.
fn column(packet: &[u8]) -> Option<String> {
    let mut rest = ParseBuf(packet);
    for _catalog_schema_alias_table in 0..4 {
        rest.checked_eat_lenenc_str()?;
    }
    Some(text(rest.checked_eat_lenenc_str()?))
}

fn row(packet: &[u8], rows: &mut Rows) -> Option<()> {
    let mut rest = ParseBuf(packet);
    for _ in 0..rows.columns().len() {
        match rest.0.first()? {
            &NULL => {
                rest.checked_skip(1);
                rows.push(None);
            }
            _ => rows.push(Some(rest.checked_eat_lenenc_str()?)),
        }
    }
    rest.is_empty().then_some(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn more_after_ok(packet: &[u8]) -> bool {
    let mut rest = ParseBuf(packet.get(1..).unwrap_or_default());
    let mut status = || {
        rest.checked_eat_lenenc_int()?;
        rest.checked_eat_lenenc_int()?;
        rest.checked_eat_u16_le()
    };
    status().is_some_and(announces_more)
}

fn more_after_end(packet: &[u8], deprecate_eof: bool) -> bool {
    match (deprecate_eof, packet) {
        (true, packet) => more_after_ok(packet),
        // Two bytes count the warnings.
        (false, [END, _, _, low, high, ..]) => announces_more(u16::from_le_bytes([*low, *high])),
        (false, _) => false,
    }
}

fn announces_more(status: u16) -> bool {
    StatusFlags::from_bits_truncate(status).contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
}
