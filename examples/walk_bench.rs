use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use unsprawl::notes::Notes;
use unsprawl::source::files::*;
use unsprawl::source::*;
struct Cheap(AtomicU64);
impl Sink for Cheap {
    fn piece(&self, p: Piece<'_>) {
        let n = memchr::memchr_iter(b'\xfe', p.bytes).count() as u64;
        self.0.fetch_add(n + 1, Relaxed);
    }
}
fn main() {
    let jobs: usize = std::env::args().nth(2).map_or(2, |s| s.parse().unwrap());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build().unwrap();
    for i in 0..5 {
        let c = Counters::default();
        let notes = Notes::default();
        let sink = Cheap(AtomicU64::new(0));
        let o = Options {
            limits: Limits::default(),
            filter: Filter::default(),
            no_ignore: std::env::var("NOIGN").is_ok(),
            work_tree: None,
            always: None,
            skip: None,
            counters: &c,
        };
        let t = std::time::Instant::now();
        let met = pool.install(|| {
            scan(&FileTarget { index: 0, path: std::env::args().nth(1).unwrap().into() }, &o, &notes, &sink)
        });
        let e = t.elapsed();
        let (n, counts) = notes.take();
        eprintln!(
            "{e:?} files {} bytes {} members {} expanded {} met {} {:?}",
            c.files.load(Relaxed),
            c.bytes.load(Relaxed),
            c.members.load(Relaxed),
            c.expanded.load(Relaxed),
            met.len(),
            counts
        );
        if i == 0 {
            for n in n.iter().take(20) {
                eprintln!("  {n:?}");
            }
        }
    }
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!("{}", s.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
