//! Pages that are slow to make, kept within a budget of bytes and of age; however many ask at once, each is made once.
//!
//! `cargo run -p buildfarm-lru --example pages`

use std::sync::Arc;
use std::time::Duration;

use buildfarm_lru::{Builder, Cache};
use buildfarm_singleflight::{Aborted, Group};

#[derive(Clone)]
struct Pages {
    cache: Cache<u32, Arc<str>>,
    /// Those being made.
    making: Group<u32, Arc<str>>,
}

impl Pages {
    fn new() -> Self {
        Self {
            cache: Builder::new()
                .max_weight(1000, |_, page: &Arc<str>| page.len() as u64)
                .ttl(Duration::from_secs(60))
                .on_evict(|number, page, reason| {
                    println!("page {number} ({} bytes): {reason}", page.len());
                })
                .build(),
            making: Group::new(),
        }
    }

    async fn get(&self, number: u32) -> Result<Arc<str>, Aborted> {
        if let Some(page) = self.cache.get(&number) {
            return Ok(page);
        }
        let cache = self.cache.clone();
        let made = self.making.run(number, || async move {
            // Somebody else may have been faster.
            if let Some(page) = cache.peek(&number) {
                return page;
            }
            println!("making page {number}");
            tokio::task::yield_now().await;
            let page = Arc::<str>::from("words ".repeat(number as usize * 10));
            cache.insert(number, page.clone());
            page
        });
        Ok(made.await?.value)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Aborted> {
    let pages = Pages::new();
    for number in [3, 5, 3, 8, 5, 20] {
        let (one, two) = tokio::join!(pages.get(number), pages.get(number));
        assert_eq!(one?, two?);
    }
    println!("{:?}", pages.cache);
    Ok(())
}
