//! What the process uses of the machine, read from `/proc` at each scrape: five small files.
//!
//! A file that is missing or unreadable (another system, a hardened container) leaves its families out: no value
//! is better than a wrong one.

use std::fs;

use super::families::{self, family};
use crate::metrics::{BlockBuilder, Family};

/// What does not change while the process lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    start_time: Option<f64>,
    ticks_per_second: f64,
    page_bytes: f64,
}

impl Process {
    pub(super) fn new() -> Process {
        // SAFETY: sysconf takes a number and gives one; it touches no memory of ours.
        let (ticks, page) = unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
        let ticks_per_second = ticks.max(1) as f64;
        // The file is long on machines with many processors, and its boot time does not change: read once.
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
        let started = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::read(&text)).map(|s| s.started);
        let start_time = boot.zip(started).map(|(boot, started)| boot + started / ticks_per_second);
        Process { start_time, ticks_per_second, page_bytes: page.max(1) as f64 }
    }

    pub(super) fn write(&self, out: &mut BlockBuilder) {
        let mut put = |declared: &'static Family, value: Option<f64>| {
            if let Some(value) = value {
                let id = family(out, declared);
                out.sample(id, &[], value);
            }
        };
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::read(&text));
        put(&families::PROCESS_CPU, stat.map(|stat| stat.cpu / self.ticks_per_second));
        put(&families::PROCESS_RESIDENT_MEMORY, stat.map(|stat| stat.resident_pages * self.page_bytes));
        put(&families::PROCESS_VIRTUAL_MEMORY, stat.map(|stat| stat.virtual_bytes));
        put(&families::PROCESS_START_TIME, self.start_time);
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        put(&families::PROCESS_MAX_FDS, soft_limit(&limits, "Max open files"));
        put(&families::PROCESS_VIRTUAL_MEMORY_MAX, soft_limit(&limits, "Max address space"));
        put(&families::PROCESS_OPEN_FDS, open_files());
        let netstat = fs::read_to_string("/proc/self/net/netstat").unwrap_or_default();
        put(&families::PROCESS_NETWORK_RECEIVE, ip_counter(&netstat, "InOctets"));
        put(&families::PROCESS_NETWORK_TRANSMIT, ip_counter(&netstat, "OutOctets"));
    }
}

/// How many descriptors may be open, for limits that have to fit below it.
pub(super) fn open_files_limit() -> Option<f64> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files")
}

/// The directory's own descriptor, open while it is read, is not counted.
fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

/// The fields of `/proc/self/stat` that are wanted, in its units.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    cpu: f64,
    started: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    /// The program's name stands in parentheses and may hold anything, parentheses too: fields count from the last.
    fn read(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as in proc(5), where the state after the name is field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Stat {
            cpu: field(14)? + field(15)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit is the first column; `unlimited` is shown as the largest number, as Go's client does.
fn soft_limit(limits: &str, name: &str) -> Option<f64> {
    let columns = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match columns.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX as f64),
        number => number.parse().ok(),
    }
}

/// `/proc/net/netstat` has pairs of lines: names, then values.
fn ip_counter(netstat: &str, name: &str) -> Option<f64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_ascii_whitespace().position(|known| known == name)?;
    values.split_ascii_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 4242 1048576 25 18446744073709551615 1";
        let stat = Stat { cpu: 200.0, started: 4242.0, virtual_bytes: 1048576.0, resident_pages: 25.0 };
        assert_eq!(Stat::read(text), Some(stat));
        assert_eq!(Stat::read("7 (short) S 1"), None);
    }

    #[test]
    fn limits_and_counters_are_read() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   524288   files\nMax address space  unlimited  unlimited  bytes\n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024.0));
        assert_eq!(soft_limit(limits, "Max address space"), Some(u64::MAX as f64));
        assert_eq!(soft_limit(limits, "Max cpu time"), None);
        let netstat = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InMcast InOctets OutOctets\nIpExt: 0 11 22\n";
        assert_eq!((ip_counter(netstat, "InOctets"), ip_counter(netstat, "OutOctets")), (Some(11.0), Some(22.0)));
        assert_eq!(ip_counter(netstat, "Other"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1.7e9));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_plausible_figures() {
        let process = Process::new();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = process.start_time.expect("Linux says when a process started");
        assert!(started <= now + 1.0 && started > now - 86_400.0, "{started} {now}");
        let mut out = BlockBuilder::new(None);
        process.write(&mut out);
        let block = out.finish();
        let shown: Vec<&str> = block.family_names().filter(|name| name.starts_with("process_")).collect();
        assert!(shown.contains(&"process_cpu_seconds_total") && shown.contains(&"process_open_fds"), "{shown:?}");
        assert!(open_files().is_some_and(|open| open >= 3.0 && open < open_files_limit().unwrap()));
    }
}
