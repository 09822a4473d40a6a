//! Archives that are cut, flipped or spliced.

use super::*;

#[test]
fn damage_costs_only_what_it_hits() {
    let (one, two) = (noise(5000), noise(11_000)[5000..].to_vec());
    let mut zip = zip_of(&[("a", &one), ("b", &two), ("c", b"last")], CompressionMethod::Bzip2);
    zip[60] ^= 0xff;
    let seen = look(&zip);
    assert!(seen.sink.has(&two) && seen.sink.has(b"last"));
    assert_eq!(seen.counts[0].0, NoteKind::ArchiveDamaged);
    let mut tar = tar_of(&[("a", &one), ("b", &two), ("c", b"last")]);
    let second = 512 + 5120;
    tar[second + 3] ^= 0xff;
    let seen = look(&tar);
    assert_eq!(seen.sink.names(), ["x!a", "x!c"]);
    assert_eq!(seen.counts, [(NoteKind::ArchiveDamaged, 1)]);
    let mut packed = gzip(&tar_of(&[("a", &one), ("b", &two)]));
    let n = packed.len();
    packed[n - 3000] ^= 0x40;
    let seen = look(&packed);
    assert!(seen.sink.has(&one));
    assert_eq!(seen.counts, [(NoteKind::ArchiveDamaged, 1)]);
}

/// One small archive of every kind, and the texts in it.
fn samples() -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let (one, two) = (noise(300), noise(420)[120..].to_vec());
    let members: [(&str, &[u8]); 2] = [("a", &one), ("b", &two)];
    let mut all = vec![tar_of(&members), zipped(&members), zip_of(&members, CompressionMethod::Stored)];
    all.push(zip_of(&members, CompressionMethod::Zstd));
    all.push(zip_of(&[("in.zip", &zipped(&members))], CompressionMethod::Stored));
    all.push(tar_of(&[("in.zip", &zipped(&members))]));
    let mut streamed = ZipWriter::new_stream(Vec::new());
    for (name, content) in members {
        streamed.start_file(name, SimpleFileOptions::default()).unwrap();
        streamed.write_all(content).unwrap();
    }
    all.push(streamed.finish().unwrap().into_inner());
    for pack in PACKERS {
        all.push(pack(&[&one[..], &two].concat()));
        all.push(pack(&tar_of(&members)));
        all.push(pack(&zipped(&members)));
    }
    all.into_iter().map(|bytes| (bytes, vec![one.clone(), two.clone()])).collect()
}

#[test]
fn truncation_at_any_length_is_survived_and_never_silent() {
    for (i, (bytes, texts)) in samples().into_iter().enumerate() {
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            let Some(format) = sniff(&cut[..len.min(HEAD)]) else { continue };
            let (notes, sink) = (Notes::default(), Collect::default());
            expand(Data::Memory(cut), format, &origin("x"), &limits(), &notes, &sink);
            let complete = texts.iter().all(|text| sink.has(text));
            // A tar has no table of contents: cut between two members, it is a shorter sound one.
            let sound = format == Format::Tar && sink.pieces().iter().all(|k| texts.contains(&k.bytes));
            assert!(complete || sound || !notes.take().1.is_empty(), "sample {i} cut to {len} of {}", bytes.len());
        }
    }
}

#[test]
fn every_flipped_byte_is_survived() {
    for (bytes, _) in samples() {
        for i in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[i] ^= 0xff;
            if let Some(format) = sniff(&bytes[..bytes.len().min(HEAD)]) {
                expand(Data::Memory(&bytes), format, &origin("x"), &limits(), &Notes::default(), &Collect::default());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn spliced_archives_are_survived(
        which in 0usize..19,
        changes in prop::collection::vec((0usize..10_000, any::<u8>()), 1..20),
        splice in 0usize..10_000,
    ) {
        let samples = samples();
        let (bytes, _) = &samples[which % samples.len()];
        let (other, _) = &samples[splice % samples.len()];
        let mut bytes = [&bytes[..], &other[splice % other.len()..]].concat();
        for (at, value) in changes {
            let at = 4 + at % (bytes.len() - 4);
            bytes[at] = value;
        }
        if let Some(format) = sniff(&bytes[..bytes.len().min(HEAD)]) {
            let small = Limits { expanded: 1 << 20, ..limits() };
            expand(Data::Memory(&bytes), format, &origin("x"), &small, &Notes::default(), &Collect::default());
        }
    }
}
