//! The spellings of near-words.
//!
//! Contract: a word of several words is looked for however they are joined; what must begin a word is marked.

/// Near-words in lower case and all the ways they are joined: `acme_api` is `acme-api`, `acme.api` and `acmeApi`, too. With each
/// whether it must begin a word.
pub(super) fn spellings(words: Vec<Vec<u8>>) -> Vec<(Vec<u8>, bool)> {
    let mut all: Vec<(Vec<u8>, bool)> = Vec::new();
    for word in words {
        let word = word.to_ascii_lowercase();
        let first = word.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let whole = (1..4).contains(&first) && first < word.len();
        let identifier = word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let inner = |i: usize| i > 0 && i + 1 < word.len();
        let joined = identifier && word.iter().enumerate().any(|(i, b)| inner(i) && !b.is_ascii_alphanumeric());
        let mut add = |word: Vec<u8>| {
            if word.len() >= 4 && !all.iter().any(|(other, _)| *other == word) {
                all.push((word, whole));
            }
        };
        add(word.clone());
        let joints: &[&[u8]] = if joined { &[b"_", b"-", b".", b""] } else { &[] };
        for joint in joints {
            let with = |(i, b): (usize, &u8)| {
                if inner(i) && !b.is_ascii_alphanumeric() { joint.to_vec() } else { vec![*b] }
            };
            add(word.iter().enumerate().flat_map(with).collect());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn words_are_joined_in_all_ways() {
        let all = |word: &str| -> Vec<(String, bool)> {
            let text = |(word, whole)| (String::from_utf8(word).unwrap_or_default(), whole);
            spellings(vec![word.as_bytes().to_vec()]).into_iter().map(text).collect()
        };
        let long = ["acme_key", "acme-key", "acme.key", "acmekey"].map(|w| (w.to_owned(), false));
        assert_eq!(all("ACME_key"), long);
        let short = ["ic_key", "ic-key", "ic.key", "ickey"].map(|w| (w.to_owned(), true));
        assert_eq!(all("ic_key"), short);
        assert_eq!(all("api.acme.com"), [("api.acme.com".to_owned(), true)]);
        assert_eq!(all("acme"), [("acme".to_owned(), false)]);
    }
}
