//! How long do issues stay open, and who closes how many? A question over a whole history:
//! `cargo run -p godata --example question [LOG]`.

use std::collections::{BTreeMap, HashMap};

use godata::maintner::corpus::Timestamp;

#[tokio::main]
async fn main() -> Result<(), godata::Error> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let log = std::env::args().nth(1);
    let corpus = godata::open(log.as_deref().unwrap_or(example)).await?;
    let snapshot = corpus.snapshot();

    let mut days: BTreeMap<i16, Vec<i64>> = BTreeMap::new();
    let mut closers: HashMap<&str, usize> = HashMap::new();
    for issue in snapshot.github().repos().flat_map(|repo| repo.issues()) {
        if let (Some(from), Some(to), true) =
            (issue.created(), issue.closed_at(), issue.is_closed())
        {
            let open = (to.seconds() - from.seconds()) / 86_400;
            days.entry(year(from)).or_default().push(open);
        }
        for event in issue.events().filter(|event| event.kind() == "closed") {
            if let Some(user) = event.actor() {
                *closers.entry(user.login()).or_default() += 1;
            }
        }
    }

    println!("opened   closed since   half of them within");
    for (year, mut days) in days {
        days.sort_unstable();
        println!(
            "{year}   {:>12}   {:>9} days",
            days.len(),
            days[days.len() / 2]
        );
    }
    let mut closers: Vec<_> = closers.into_iter().collect();
    closers.sort_by_key(|&(login, count)| (std::cmp::Reverse(count), login));
    println!("\nclosed most:");
    for (login, count) in closers.into_iter().take(5) {
        println!("{count:6}  {login}");
    }
    Ok(())
}

fn year(time: Timestamp) -> i16 {
    let time = jiff::Timestamp::from_second(time.seconds()).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::UTC).year()
}
