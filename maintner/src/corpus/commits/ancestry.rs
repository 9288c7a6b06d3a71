//! Who descends from whom.
//!
//! Every commit whose ancestors are all known has a *generation*, one more than the highest of its
//! parents, and a place on the line of its first parents, with a shortcut to a commit far behind
//! it on that line. Shortcuts double and halve as the digits of a skew-binary number do (Myers, "An
//! applicative random-access stack", 1983), so that any place on the line is a logarithmic number
//! of steps away.

use std::collections::HashSet;

use super::NONE;
use crate::store::row;

row! {
    /// Where a commit stands among the others.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub(super) struct Lineage {
        /// From 1; 0 as long as an ancestor is missing.
        generation: u32,
        /// Commits before it on the line of first parents.
        depth: u32,
        /// A commit further back on that line, itself at its beginning.
        shortcut: u32,
        /// The newest commit on that line that has several parents, be it itself; [`NONE`] if there
        /// is none: then nothing but the line descends.
        merge: u32,
    }
}

impl Lineage {
    pub(super) fn is_settled(self) -> bool {
        self.generation > 0
    }

    /// Commits before it on the line of first parents.
    pub(super) fn depth(self) -> u32 {
        self.depth
    }

    /// That of commit `id`, all of whose parents are settled.
    pub(super) fn of(links: &impl Links, id: u32) -> Self {
        let Some((parent, is_merge)) = links.first_parent_of(id) else {
            return Self {
                generation: 1,
                depth: 0,
                shortcut: id,
                merge: NONE,
            };
        };
        let first = links.lineage(parent);
        let highest = match is_merge {
            false => first.generation,
            true => {
                let parents = links.parents_of(id);
                let generations = parents.map(|parent| links.lineage(parent).generation);
                generations.max().unwrap_or(0)
            }
        };
        let second = links.lineage(first.shortcut);
        let third = links.lineage(second.shortcut);
        // Two shortcuts of equal length make one of twice that length.
        let equal = first.depth.abs_diff(second.depth) == second.depth.abs_diff(third.depth);
        Self {
            generation: highest.saturating_add(1),
            depth: first.depth.saturating_add(1),
            shortcut: if equal { second.shortcut } else { parent },
            merge: if is_merge { id } else { first.merge },
        }
    }
}

/// What has to be known of commits.
pub(super) trait Links {
    fn parents_of(&self, id: u32) -> impl DoubleEndedIterator<Item = u32>;

    /// The first of them, and whether there are others: most have one.
    fn first_parent_of(&self, id: u32) -> Option<(u32, bool)> {
        let mut parents = self.parents_of(id);
        Some((parents.next()?, parents.next().is_some()))
    }

    fn lineage(&self, id: u32) -> Lineage;
}

pub(super) fn has_ancestor(links: &impl Links, commit: u32, ancestor: u32) -> bool {
    if commit == ancestor {
        return false;
    }
    let (from, to) = (links.lineage(commit), links.lineage(ancestor));
    if from.is_settled() {
        // An ancestor of a settled commit is settled, and of a lower generation.
        if !to.is_settled() || to.generation >= from.generation {
            return false;
        }
        return on_first_parents(links, commit, ancestor) || over_merges(links, commit, ancestor);
    }
    search(links, commit, ancestor)
}

/// Whether `ancestor` is on the line of first parents of a parent of one of the merges that `commit`
/// descends from; both are settled. Between merges there is nothing to look at.
fn over_merges(links: &impl Links, commit: u32, ancestor: u32) -> bool {
    let lowest = links.lineage(ancestor).generation;
    let mut seen = HashSet::new();
    let mut open = vec![links.lineage(commit).merge];
    while let Some(merge) = open.pop() {
        if merge == NONE || links.lineage(merge).generation <= lowest || !seen.insert(merge) {
            continue;
        }
        for parent in links.parents_of(merge) {
            let lineage = links.lineage(parent);
            if lineage.generation >= lowest {
                if on_first_parents(links, parent, ancestor) {
                    return true;
                }
                open.push(lineage.merge);
            }
        }
    }
    false
}

/// Whether `ancestor` is on the line of first parents of `commit`; both are settled.
fn on_first_parents(links: &impl Links, commit: u32, ancestor: u32) -> bool {
    at_depth(links, commit, links.lineage(ancestor).depth) == ancestor
}

/// The commit at a depth of the line of first parents of `commit`, which is settled; itself if
/// that is no deeper.
pub(super) fn at_depth(links: &impl Links, mut commit: u32, depth: u32) -> u32 {
    loop {
        let here = links.lineage(commit);
        if here.depth <= depth {
            return commit;
        }
        let far = links.lineage(here.shortcut);
        commit = if far.depth >= depth && far.depth < here.depth {
            here.shortcut
        } else {
            match links.first_parent_of(commit) {
                Some((parent, _)) => parent,
                None => return commit,
            }
        };
    }
}

/// The last commit that is on the lines of first parents of both, which are settled.
pub(super) fn fork(links: &impl Links, one: u32, other: u32) -> Option<u32> {
    let depth = links.lineage(one).depth.min(links.lineage(other).depth);
    let (mut one, mut other) = (at_depth(links, one, depth), at_depth(links, other, depth));
    while one != other {
        // How far a shortcut leads depends on the depth alone, and here both are equally deep.
        let [far_one, far_other] = [one, other].map(|id| links.lineage(id).shortcut);
        (one, other) = if far_one == far_other || far_one == one {
            let [one, other] = [one, other].map(|id| links.first_parent_of(id));
            (one?.0, other?.0)
        } else {
            (far_one, far_other)
        };
    }
    Some(one)
}

/// Looks at all ancestors that may descend from `ancestor`: where some are missing, there is no better
/// way.
fn search(links: &impl Links, commit: u32, ancestor: u32) -> bool {
    let lowest = links.lineage(ancestor).generation;
    let mut seen = HashSet::new();
    let mut open = vec![commit];
    while let Some(id) = open.pop() {
        for parent in links.parents_of(id) {
            if parent == ancestor {
                return true;
            }
            let lineage = links.lineage(parent);
            let may_descend = !lineage.is_settled() || lowest > 0 && lineage.generation > lowest;
            if may_descend && seen.insert(parent) {
                open.push(parent);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Graph(Vec<(Vec<u32>, Lineage)>);

    impl Graph {
        fn add(&mut self, parents: Vec<u32>) {
            let id = self.0.len() as u32;
            self.0.push((parents, Lineage::default()));
            self.0[id as usize].1 = Lineage::of(self, id);
        }
    }

    impl Links for Graph {
        fn parents_of(&self, id: u32) -> impl DoubleEndedIterator<Item = u32> {
            self.0[id as usize].0.iter().copied()
        }

        fn lineage(&self, id: u32) -> Lineage {
            self.0[id as usize].1
        }
    }

    #[test]
    fn a_long_line_is_crossed_in_few_steps() {
        let mut graph = Graph::default();
        graph.add(vec![]);
        for id in 1..100_000 {
            graph.add(vec![id - 1]);
        }
        let mut most = 0;
        for target in (0..99_999).step_by(37) {
            let (mut at, mut steps) = (99_999, 0);
            while at != target {
                let lineage = graph.lineage(at);
                let far = graph.lineage(lineage.shortcut).depth;
                at = if far >= target {
                    lineage.shortcut
                } else {
                    at - 1
                };
                steps += 1;
            }
            most = most.max(steps);
        }
        assert!(most <= 3 * 17, "{most} steps");
        assert!(has_ancestor(&graph, 99_999, 0));
        assert!(!has_ancestor(&graph, 0, 99_999));
        assert!(!has_ancestor(&graph, 5, 5));
    }

    proptest! {
        #[test]
        fn as_a_plain_search_has_it(edges in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..40)) {
            let mut graph = Graph::default();
            for parents in edges {
                let len = graph.0.len();
                let parents = if len == 0 { vec![] } else { parents.iter().map(|at| at.index(len) as u32).collect() };
                graph.add(parents);
            }
            let len = graph.0.len() as u32;
            for commit in 0..len {
                let mut ancestors = HashSet::new();
                let mut open = vec![commit];
                while let Some(id) = open.pop() {
                    open.extend(graph.parents_of(id).filter(|&parent| ancestors.insert(parent)));
                }
                for other in 0..len {
                    prop_assert_eq!(has_ancestor(&graph, commit, other), ancestors.contains(&other));
                    let line = |id| std::iter::successors(Some(id), |&id| graph.parents_of(id).next());
                    let expected = line(commit).find(|&id| line(other).any(|other| other == id));
                    prop_assert_eq!(fork(&graph, commit, other), expected);
                }
            }
        }
    }
}
