//! The centre of a build farm: finds work, owns machines, runs builds, keeps results, shows them
