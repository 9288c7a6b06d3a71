//! Huffman codes of limited length (RFC 1951 section 3.2.2).

/// More than any alphabet has.
const MOST: usize = 288;

/// Finds the lengths of a code for symbols of these frequencies, none longer than `limit`; 0 for symbols that do not occur.
/// The sum of the frequencies is below 2^23.
pub(super) fn lengths<const N: usize>(frequencies: &[u32; N], limit: u8) -> [u8; N] {
    let mut lengths = [0; N];
    // Frequency and symbol in one number, which sorts faster than pairs.
    let mut sorted = [0_u32; MOST];
    let mut used = 0;
    for (symbol, &frequency) in frequencies.iter().enumerate() {
        if frequency > 0 {
            sorted[used] = frequency << 9 | symbol as u32;
            used += 1;
        }
    }
    let sorted = &mut sorted[..used];
    if let [only] = sorted {
        lengths[(*only & 511) as usize] = 1;
        return lengths;
    }
    sorted.sort_unstable();
    let mut counts = depths(sorted);
    limit_depths(&mut counts, usize::from(limit));
    // The rarest get the longest.
    let mut symbols = sorted.iter().map(|key| (key & 511) as usize);
    for (length, &count) in counts.iter().enumerate().rev() {
        for symbol in symbols.by_ref().take(count.into()) {
            lengths[symbol] = length as u8;
        }
    }
    lengths
}

/// How many leaves of the Huffman tree are how deep. Rare ones come first; with 2^23 for the sum, 32 levels are enough,
/// because the sum grows at least as Fibonacci's numbers do.
fn depths(sorted: &[u32]) -> [u16; 34] {
    let mut counts = [0_u16; 34];
    let leaves = sorted.len();
    if leaves < 2 {
        return counts;
    }
    let inner = leaves - 1;
    // Inner nodes are made in the order of their weights, so that they need no sorting.
    let mut weights = [0_u32; MOST];
    let mut parents = [0_u16; 2 * MOST];
    let (mut leaf, mut node) = (0, 0);
    for made in 0..inner {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf < leaves && (node >= made || sorted[leaf] >> 9 <= weights[node]) {
                weight += sorted[leaf] >> 9;
                parents[MOST + leaf] = made as u16;
                leaf += 1;
            } else {
                weight += weights[node];
                parents[node] = made as u16;
                node += 1;
            }
        }
        weights[made] = weight;
    }
    let mut depth = [0_u8; MOST];
    for node in (0..inner - 1).rev() {
        depth[node] = depth[usize::from(parents[node])] + 1;
    }
    for leaf in 0..leaves {
        counts[usize::from(depth[usize::from(parents[MOST + leaf])] + 1).min(33)] += 1;
    }
    counts
}

/// Lifts leaves that are too deep to the limit, and pays for it by lowering as few others as it takes.
fn limit_depths(counts: &mut [u16; 34], limit: usize) {
    let too_deep = counts[limit + 1..].iter().sum::<u16>();
    if too_deep == 0 {
        return;
    }
    counts[limit + 1..].fill(0);
    counts[limit] += too_deep;
    // In units of the deepest leaf; a tree has room for 2^limit.
    let mut taken = (1..=limit)
        .map(|depth| u32::from(counts[depth]) << (limit - depth))
        .sum::<u32>();
    while taken > 1 << limit {
        let Some(above) = (1..limit).rev().find(|&depth| counts[depth] > 0) else {
            return;
        };
        // One leaf becomes a node with itself and one of the deepest below it.
        counts[above] -= 1;
        counts[above + 1] += 2;
        counts[limit] -= 1;
        taken -= 1;
    }
}

/// The codes that belong to the lengths, with their bits in the order in which they are written.
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [u16; N] {
    let mut next = [0_u16; 17];
    for &length in lengths {
        next[usize::from(length & 15) + 1] += 1;
    }
    next[1] = 0;
    for length in 2..17 {
        next[length] = next[length].wrapping_add(next[length - 1]) << 1;
    }
    let mut codes = [0; N];
    for (code, &length) in codes.iter_mut().zip(lengths) {
        if length > 0 {
            let next = &mut next[usize::from(length & 15)];
            *code = next.reverse_bits() >> (16 - u32::from(length & 15));
            *next = next.wrapping_add(1);
        }
    }
    codes
}
