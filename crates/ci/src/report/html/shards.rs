//! The machines of a merged run: what each was to do, how long it took, and what is wrong with it.

use super::Page;
use super::format;
use super::markup::Html;
use drydock_base::units::ByteSize;

pub(super) fn write(html: &mut Html, page: Page<'_>) {
    let shards = &page.run.shards;
    if shards.is_empty() {
        return;
    }
    html.within("section", &[("aria-labelledby", "shards")], |html| {
        html.tag("h2", &[("id", "shards")], "Shards");
        let region = [("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", "Table of shards")];
        html.within("div", &region, |html| {
            html.within("table", &[], |html| {
                html.within("thead", &[], |html| {
                    html.within("tr", &[], |html| {
                        for head in
                            ["shard", "class", "attempt", "slots", "memory", "jobs", "planned", "took", "result"]
                        {
                            html.tag("th", &[("scope", "col")], head);
                        }
                    });
                });
                html.within("tbody", &[], |html| {
                    for shard in shards {
                        let known = shard.run.is_some();
                        let some = |text: String| if known { text } else { "–".to_owned() };
                        let took = u64::try_from(shard.ended.saturating_sub(shard.began)).unwrap_or(0);
                        html.within("tr", &[], |html| {
                            html.tag("th", &[("scope", "row")], &shard.shard.to_string());
                            for cell in [
                                shard.class.clone(),
                                some(shard.attempt.to_string()),
                                some(shard.slots.to_string()),
                                some(ByteSize::new(shard.memory).to_string()),
                                shard.jobs.to_string(),
                                format::time(shard.expected_ms),
                                some(format::time(took)),
                                shard.trouble.clone().unwrap_or_else(|| "complete".to_owned()),
                            ] {
                                html.tag("td", &[], &cell);
                            }
                        });
                    }
                });
            });
        });
    });
}
