//! How common four bytes are in source code and prose, roughly.
//!
//! A search for literals looks for four bytes of each first, and those should be the ones that stand seldom elsewhere: of
//! `mailgun`, `ilgu` and not `mail`.

/// Words that stand often in source code, configuration and prose.
const WORDS: &str = "\
    aaaa about access account action actions active after alert alias all allow app append application apply are \
    args argument array assert async attack attribute auth author available await base before begin block body bool \
    boolean branch break bucket buffer build builtin button byte cache call cancel case catch cert challenge change \
    char check child class clean clear client close cloud code collection color column command comment commit common \
    compile complete component condition config connect connection const container content context continue control \
    convert cookie cookies copy core count create current custom data database date debug declare default define \
    delete description detail device dict digest direct directory disable display document does domain download \
    driver element elements else email empty enable encode end endpoint engine entry enum environment error event \
    example exception exec exist expect export express extend extension factory fail false feature fetch field file \
    files filter final find first fixed flag float fold follow font for form format found frame free from front func \
    function future generate get global graph grid group guard handle has hash head header height help hidden \
    history home hook host html http https icon id if ignore image implement import include index info init inline \
    input insert install instance int integer interface internal into invalid issue item iterator java job join json \
    kernel key keys keyword kind label lambda language last layer layout left length level library license light \
    limit line link linux list listen live load local lock log logger long loop mail main make manager map master \
    match math max member memory merge message meta method middle min mock mode model module mount move msg multi \
    name native network new next node none normal not note null number object offset only open operation operator \
    option options order origin other out output override owner package page param parameter parent parents parse \
    part pass password patch path paths pattern pending permission person phone ping pipe place plain platform play \
    plugin point policy pool port position post prefix prepare present primary print private process product profile \
    program project promise property protocol provider proxy public pull push put python query queue quick raise \
    random range raw react read ready real record redirect ref reference region register relation release reload \
    remote remove rename render repeat replace replica report repository request require reset resolve resource \
    response rest result return review right role root route row rule run runtime save scale schema scope screen \
    script search second secret section security select self send server service session set setting setup shape \
    share shell short should show side sign signal simple single size skip slice some sort source space spec split \
    stack staff stage standard start state static status step stop storage store str stream string struct style sub \
    submit subscribe success suite super support switch symbol sync system table tag target task team template test \
    text that the then this thread throw time title token tool total track transaction transform translate tree \
    trigger true try turn type undefined unique unit unknown unsigned until update upgrade upload url usage use user \
    users using util valid value values var variable variables vector verify version versions video view virtual \
    visible void wait warning watch weight when where while width window with word work worker world write xml you \
    zero";

/// Bytes are told apart by so many classes.
pub(super) const CLASSES: usize = 64;

/// What is learnt of [`WORDS`].
pub(super) struct Known {
    /// Groups of four letters that stand in a word, sorted.
    fours: Vec<u32>,
    /// Logarithm of how often the second class follows the first.
    follows: Vec<f32>,
    /// How often each class stands anywhere, as a share of all.
    stands: Vec<f32>,
}

impl Known {
    pub(super) fn new() -> Self {
        let mut fours: Vec<u32> = WORDS.split(' ').flat_map(|w| w.as_bytes().windows(4).map(number)).collect();
        fours.sort_unstable();
        let mut pairs = vec![0u16; CLASSES * CLASSES];
        let mut add = |a: u8, b: u8| pairs[class(a) * CLASSES + class(b)] += 1;
        for word in WORDS.split(' ').map(str::as_bytes) {
            word.windows(2).for_each(|pair| add(pair[0], pair[1]));
            for joint in [b' ', b'_', b'.'] {
                word.first().into_iter().for_each(|first| add(joint, *first));
                word.last().into_iter().for_each(|last| add(*last, joint));
            }
        }
        let rows = pairs.chunks(CLASSES);
        let sums: Vec<f32> = rows.clone().map(|row| row.iter().map(|n| f32::from(*n)).sum::<f32>() + 5.0).collect();
        let follows =
            rows.zip(&sums).flat_map(|(row, sum)| row.iter().map(move |n| ((f32::from(*n) + 0.25) / sum).ln()));
        let all: f32 = sums.iter().sum();
        Self { fours, follows: follows.collect(), stands: sums.iter().map(|sum| sum / all).collect() }
    }

    /// Where in a literal its rarest four bytes begin; 0 if it has no more.
    pub(super) fn rarest(&self, literal: &[u8]) -> usize {
        let ranked = literal.windows(4).map(|four| self.rank(four)).enumerate();
        let rarer = |a: &(usize, f32), b: &(usize, f32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
        ranked.min_by(|(_, a), (_, b)| rarer(a, b)).map_or(0, |(at, _)| at)
    }

    /// How common two bytes of these classes are, as a share of all pairs.
    pub(super) fn pair(&self, first: usize, second: usize) -> f32 {
        self.stands[first] * self.follows[first * CLASSES + second].exp()
    }

    /// More for more common ones.
    fn rank(&self, four: &[u8]) -> (usize, f32) {
        let number = number(four);
        let from = self.fours.partition_point(|known| *known < number);
        let words = self.fours[from..].iter().take_while(|known| **known == number).count();
        (words, four.windows(2).map(|pair| self.follows[class(pair[0]) * CLASSES + class(pair[1])]).sum())
    }
}

/// The class of a byte: case is folded, and control characters and bytes above ASCII share the classes of others.
pub(super) fn class(byte: u8) -> usize {
    usize::from(byte >> 1 & 0x20 | byte & 0x1f)
}

/// Four bytes as a number, with case folded roughly.
fn number(four: &[u8]) -> u32 {
    four.first_chunk().map_or(0, |four| u32::from_le_bytes(*four)) | 0x2020_2020
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_bytes_are_preferred() {
        for (literal, rare) in
            [("mailgun", "ilgu"), ("password=x", "rd=x"), ("key", ""), ("abcd", "abcd"), ("http_qj", "tp_q")]
        {
            let at = Known::new().rarest(literal.as_bytes());
            assert_eq!(literal.get(at..at + 4).unwrap_or_default(), rare, "{literal}");
        }
    }
}
