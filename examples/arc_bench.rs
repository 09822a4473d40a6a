use unsprawl::model::PlaceKind;
use unsprawl::notes::Notes;
use unsprawl::source::archive::*;
use unsprawl::source::*;
struct Cheap;
impl Sink for Cheap {
    fn piece(&self, p: Piece<'_>) {
        std::hint::black_box(memchr::memchr(0xfe, p.bytes));
    }
}
fn main() {
    for f in std::env::args().skip(1) {
        let b = std::fs::read(&f).unwrap();
        let o = Origin { target: 0, kind: PlaceKind::Blob, path: f.clone().into(), object: None, member: vec![] };
        let notes = Notes::default();
        let Some(fm) = sniff(&b[..b.len().min(512)]) else {
            eprintln!("{f}: no");
            continue;
        };
        let t0 = cpu();
        let t = std::time::Instant::now();
        let mut n = 0;
        let mut e = Expanded::default();
        while t.elapsed().as_millis() < 500 {
            e = expand(Data::Memory(&b), fm, &o, &Limits::default(), &notes, &Cheap);
            n += 1;
        }
        let s = (cpu() - t0) / n;
        eprintln!(
            "{f}: {} -> {e:?} {s:?} {:.0} MB/s {:?}/member {:?}",
            b.len(),
            e.bytes as f64 / s.as_secs_f64() / 1e6,
            s / e.members.max(1) as u32,
            notes.take().1
        );
    }
}
fn cpu() -> std::time::Duration {
    let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(s.split(' ').next().unwrap().parse().unwrap())
}
