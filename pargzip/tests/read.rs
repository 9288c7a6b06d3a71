//! What readers make of files, whole and broken.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod read_support;

use std::io::{BufRead, Cursor, Read};

use pargzip::{ReadError, Reader, ReaderBuilder, Trailing};
use read_support::*;

#[test]
fn every_combination_of_header_flags() {
    let data = text(3000);
    for flags in 0..32 {
        let one = member_with(flags, b"XY\x03\0abc", &data);
        assert!(read_ok(&one) == data, "flags {flags}");
        let many = [one.clone(), plain(b"middle"), one].concat();
        assert!(read_ok(&many) == [&data[..], b"middle", &data].concat());
    }
}

#[test]
fn headers_that_no_one_knows() {
    let bad = |change: fn(&mut Vec<u8>)| {
        let mut member = member_with(FHCRC | FNAME, b"", b"data");
        change(&mut member);
        let at_start = read(&member).error.unwrap();
        assert_eq!(at_start.offset(), 0);
        let first = plain(b"first");
        let second = read(&[first.clone(), member].concat());
        assert_eq!(second.data, b"first");
        let second = second.error.unwrap();
        assert_eq!(second.offset(), first.len() as u64);
        (at_start, second)
    };
    assert!(matches!(
        bad(|member| member[3] |= 0x20).1,
        ReadError::BadHeader { .. }
    ));
    assert!(matches!(
        bad(|member| member[2] = 7).1,
        ReadError::BadHeader { .. }
    ));
    // The name is under the header's checksum.
    assert!(matches!(
        bad(|member| member[10] = b'A').1,
        ReadError::BadHeader { .. }
    ));
    let (first, second) = bad(|member| member[0] = b'P');
    assert!(matches!(first, ReadError::BadHeader { .. }));
    assert!(matches!(second, ReadError::TrailingGarbage { .. }));
}

#[test]
fn a_header_without_end() {
    let mut endless = vec![0x1f, 0x8b, 8, FNAME, 0, 0, 0, 0, 0, 3];
    endless.resize(3 << 20, b'x');
    assert!(matches!(
        read(&endless).error,
        Some(ReadError::BadHeader { offset: 0, .. })
    ));
}

#[test]
fn long_headers() {
    for flags in [
        FEXTRA,
        FNAME,
        FEXTRA | FNAME | FCOMMENT,
        FEXTRA | FHCRC,
        FNAME | FHCRC,
    ] {
        let mut member = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
        if flags & FEXTRA != 0 {
            member.extend(60_000_u16.to_le_bytes());
            member.extend(vec![7; 60_000]);
        }
        for flag in [FNAME, FCOMMENT] {
            if flags & flag != 0 {
                member.extend(vec![b'n'; 50_000]);
                member.push(0);
            }
        }
        if flags & FHCRC != 0 {
            let sum = crc(&member) as u16;
            member.extend(sum.to_le_bytes());
        }
        let plain = plain(b"data");
        member.extend(&plain[10..]);
        assert_eq!(read_ok(&member), b"data");
        for piece in [1, 2, 3] {
            let slow = read_all(ReaderBuilder::new().build_local(Dribble::new(&member, piece)));
            assert_eq!(slow.data, b"data");
        }
    }
}

/// Three members of different kinds, and where each ends.
fn sample() -> (Vec<u8>, Vec<u8>, [usize; 3]) {
    let parts = [text(60), noise(10), text(30)];
    let members = [
        sized(&parts[0], None),
        member_with(FNAME | FHCRC, b"", &parts[1]),
        bgzf(&parts[2]),
    ];
    let mut end = 0;
    let ends = [0, 1, 2].map(|i| {
        end += members[i].len();
        end
    });
    (members.concat(), parts.concat(), ends)
}

#[test]
fn truncated_at_every_offset() {
    let (file, data, ends) = sample();
    assert_eq!(read_ok(&file), data);
    for cut in 0..file.len() {
        let outcome = read(&file[..cut]);
        assert!(data.starts_with(&outcome.data), "cut {cut}");
        let expected = match cut {
            0 => Some(ReadError::Empty),
            _ if ends.contains(&cut) => None,
            _ => Some(ReadError::Truncated { offset: cut as u64 }),
        };
        assert_eq!(outcome.error, expected, "cut {cut}");
    }
}

#[test]
fn every_single_bit_flipped() {
    let (file, data, _) = sample();
    let mut harmless = 0;
    for bit in 0..8 * file.len() {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // In every way only now and then: each starts threads of its own.
        let outcome = match bit % 9 {
            0 => read(&flipped),
            _ => read_all(ReaderBuilder::new().build_local(&flipped[..])),
        };
        if outcome.error.is_none() {
            assert!(outcome.data == data, "bit {bit} goes unnoticed");
            harmless += 1;
        }
    }
    // Time, system and the like, and the length that a member claims.
    assert!(harmless < 400, "{harmless}");
}

#[test]
fn checksum_and_length_are_told_apart() {
    let first = plain(b"first");
    let offset = first.len() as u64;
    let make = |at: usize| {
        let mut second = sized(b"second", None);
        let end = second.len();
        second[end - at] ^= 1;
        read(&[first.clone(), second].concat())
    };
    let wrong_crc = make(8);
    // All of a member's data come before what is wrong with it.
    assert_eq!(wrong_crc.data, b"firstsecond");
    assert!(matches!(wrong_crc.error, Some(ReadError::BadCrc { offset: o, .. }) if o == offset));
    assert_eq!(
        make(4).error,
        Some(ReadError::BadSize {
            offset,
            expected: 7,
            found: 6
        })
    );
}

#[test]
fn padding_and_garbage() {
    let file = [plain(b"one"), sized(b"two", None)].concat();
    let with = |tail: &[u8]| [&file, tail].concat();
    for zeros in [1, 7, 8, 9, 511, 300_000] {
        assert_eq!(read_ok(&with(&vec![0; zeros])), b"onetwo");
    }
    let ignore = ReaderBuilder::new().trailing(Trailing::Ignore);
    for tail in [
        &b"garbage"[..],
        b"\x1fgarbage",
        b"PK",
        b"\0\0\0garbage",
        b"\x1f\x8cgarbage",
    ] {
        let garbage = file.len() + tail.iter().take_while(|&&byte| byte == 0).count();
        let outcome = read(&with(tail));
        assert_eq!(outcome.data, b"onetwo");
        assert_eq!(
            outcome.error,
            Some(ReadError::TrailingGarbage {
                offset: garbage as u64
            })
        );
        assert_eq!(read_each_way(&ignore, &with(tail)).error, None);
        let file = with(tail);
        let mut reader = ignore.build_local(&file[..]);
        assert_eq!(reader.trailing_garbage(), None);
        let mut data = Vec::new();
        reader.read_to_end(&mut data).unwrap();
        assert_eq!(reader.trailing_garbage(), Some(garbage as u64));
    }
    // A member after padding is no better than other garbage, as for gzip.
    let after = read_each_way(&ignore, &with(&[&[0; 5][..], &plain(b"three")].concat()));
    assert_eq!(after.data, b"onetwo");
    // Before the first member nothing is ignored.
    for head in [&b"\0"[..], b"x", b"\x1f\x8c"] {
        let outcome = read_each_way(&ignore, &[head, &file].concat());
        assert!(matches!(
            outcome.error,
            Some(ReadError::BadHeader { offset: 0, .. })
        ));
    }
}

#[test]
fn bombs_meet_limits_exactly() {
    let zeros = vec![0; 1 << 20];
    let kinds: [(&str, Vec<u8>); 4] = [
        ("single", plain(&vec![0; 4 << 20])),
        ("sized", sized(&zeros, None).repeat(4)),
        ("plain", plain(&zeros).repeat(4)),
        ("bgzf", bgzf(&[0; 60_000]).repeat(70)),
    ];
    for (kind, bomb) in kinds {
        for limit in [0, 1, 65_536, 4_000_000] {
            let outcome = read_each_way(&ReaderBuilder::new().max_output(limit), &bomb);
            assert_eq!(outcome.data.len() as u64, limit, "{kind}");
            assert!(
                matches!(outcome.error, Some(ReadError::OutputLimit { limit: l, .. }) if l == limit),
                "{kind} {:?}",
                outcome.error
            );
        }
        let whole = read(&bomb).data.len() as u64;
        let enough = read_each_way(&ReaderBuilder::new().max_output(whole), &bomb);
        assert_eq!(enough.error, None, "{kind}");
        let outcome = read_each_way(&ReaderBuilder::new().max_ratio(100), &bomb);
        assert!(
            matches!(
                outcome.error,
                Some(ReadError::RatioLimit { limit: 100, .. })
            ),
            "{kind} {:?}",
            outcome.error
        );
        assert!(
            outcome.data.len() < bomb.len() * 100 + (400 << 10),
            "{kind}"
        );
        assert_eq!(
            read_each_way(&ReaderBuilder::new().max_ratio(1100), &bomb).error,
            None
        );
    }
}

#[test]
fn lies_about_length_change_nothing() {
    let (a, b) = (text(5000), text(7000));
    let honest = [sized(&a, None), plain(&b), sized(&b, None)].concat();
    let expected = [&a[..], &b, &b].concat();
    assert!(read_ok(&honest) == expected);
    let len = sized(&a, None).len() as u32;
    let both = len + plain(&b).len() as u32;
    let all = honest.len() as u32;
    for claim in [
        0,
        1,
        27,
        28,
        29,
        len - 1,
        len + 1,
        len + 20,
        both - 1,
        both,
        both + 1,
        all,
        all + 1,
        5 << 20,
        u32::MAX,
    ] {
        let file = [sized(&a, Some(claim)), plain(&b), sized(&b, None)].concat();
        assert!(read_ok(&file) == expected, "claim {claim}");
    }
}

#[test]
fn a_member_hidden_behind_its_twin_is_found() {
    // The claim spans both, and the trailer at its end is right for the first.
    let twin = sized(b"twin", None);
    let pair = [sized(b"twin", Some(2 * twin.len() as u32)), twin].concat();
    let file = [pair, plain(b"end")].concat();
    assert_eq!(read_ok(&file), b"twintwinend");
    // The same where nothing is claimed, and the next header hides behind a flag that is looked for, or is not.
    let file = [
        plain(b"twin"),
        member_with(FNAME, b"", b"twin"),
        plain(b"twin"),
    ]
    .concat();
    assert_eq!(read_ok(&file), b"twintwintwin");
    // Bytes between the end of the data and the trailer.
    let mut slack = plain(b"twin");
    let trailer = slack.split_off(slack.len() - 8);
    slack.extend(b"slack");
    slack.extend(&trailer);
    let len = slack.len() as u32;
    assert!(read(&slack).error.is_some());
    let mut slack = sized(b"twin", Some(len + 10));
    slack.splice(slack.len() - 8..slack.len() - 8, *b"slack");
    assert!(read(&slack).error.is_some());
}

#[test]
fn a_size_that_lies_is_not_allocated() {
    for size in [u32::MAX, 1 << 30, 4 << 20, 0] {
        let mut member = sized(b"small", None);
        let end = member.len();
        member[end - 4..].copy_from_slice(&size.to_le_bytes());
        let file = [member.clone(), plain(b"more")].concat();
        assert_eq!(
            read(&file).error,
            Some(ReadError::BadSize {
                offset: 0,
                expected: size,
                found: 5
            })
        );
    }
}

#[test]
fn what_looks_like_a_header_inside_a_member() {
    // Stored, so that the header of a member stands in the middle of another one's data.
    let inner = [plain(b"not a member"), noise(2000), plain(b"nor this")].concat();
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    member.extend(deflate(&inner, 0));
    member.extend(crc(&inner).to_le_bytes());
    member.extend((inner.len() as u32).to_le_bytes());
    let file = member.repeat(50);
    assert!(read_ok(&file) == inner.repeat(50));
}

#[test]
fn the_gos_original_file() {
    let original =
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff\0\x04\0\xfb\xffhell\x03\0\xe3\0\x86\x1c\x04\0\0\0\
        \x1f\x8b\x08\0\0\0\0\0\0\xff\0\x01\0\xfe\xffo\x03\0\x44\x93\x0f\x0f\x01\0\0\0";
    assert_eq!(read_ok(original), b"hello");
}

#[test]
fn many_members_of_every_kind_and_size() {
    let mut file = Vec::new();
    let mut expected = Vec::new();
    for (i, len) in [0, 1, 100, 60_000, 0, 90_000, 1 << 20, 3, 200_000]
        .into_iter()
        .cycle()
        .take(14)
        .enumerate()
    {
        let data = if i % 4 == 0 { noise(len) } else { text(len) };
        file.extend(match i % 3 {
            0 => plain(&data),
            1 => sized(&data, None),
            _ if len <= 60_000 => bgzf(&data),
            _ => member_with(FNAME, b"", &data),
        });
        expected.extend(data);
    }
    assert!(read_ok(&file) == expected);
    let mut small = ReaderBuilder::new().max_member(100_000);
    assert!(read_each_way(&small, &file).data == expected);
    small = small.max_member(0);
    assert!(read_each_way(&small, &file).data == expected);
}

#[test]
fn a_few_bytes_at_a_time() {
    let data = text(60_000);
    let file = [sized(&data, None), plain(&data)].concat();
    let mut reader = Reader::new(Cursor::new(file));
    let mut all = Vec::new();
    for len in (1..9).cycle() {
        let mut buffer = vec![0; len];
        let got = reader.read(&mut buffer).unwrap();
        if got == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..got]);
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        if len == 8 {
            let available = reader.fill_buf().unwrap();
            let take = available.len().min(5000);
            all.extend_from_slice(&available[..take]);
            reader.consume(take);
        }
    }
    assert!(all == data.repeat(2));
}
