//! Functions that only pass an allocation on: whoever called them is who allocates.

/// Wrappers of every project: the C library's, with what it does to get pages, and those of the standard libraries of
/// C++ and Rust.
const BUILT_IN: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "strdup",
    "__strdup",
    "strndup",
    "__strndup",
    "operator new*",
    "std::__new_allocator<*>::allocate",
    "__gnu_cxx::new_allocator<*>::allocate",
    "std::allocator<*>::allocate",
    "std::allocator_traits<*>::allocate",
    "std::_Vector_base<*>::_M_allocate",
    "mmap",
    "mmap64",
    "__mmap",
    "__mmap64",
    "mremap",
    "brk",
    "sbrk",
    "__brk",
    "__sbrk",
    "__glibc_morecore",
    "sysmalloc",
    "sysmalloc_mmap",
    "_int_malloc",
    "_int_realloc",
    "_int_memalign",
    "__libc_malloc",
    "new_heap",
    "__rust_alloc*",
    "__rust_realloc",
    "__rdl_*",
    "alloc::alloc::*",
    "<alloc::alloc::Global as *",
    "alloc::raw_vec::*",
];

/// Endings that GCC gives to the parts and copies of a function.
const CLONES: [&str; 5] = [".constprop", ".part", ".isra", ".cold", ".lto_priv"];

/// The wrappers of a project: the built-in ones and those that it declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrappers {
    patterns: Vec<Pattern>,
}

impl Wrappers {
    /// The built-in wrappers, and functions whose whole names match one of these; `*` stands for any letters.
    pub fn new<'a>(declared: impl IntoIterator<Item = &'a str>) -> Wrappers {
        Wrappers { patterns: BUILT_IN.iter().copied().chain(declared).map(Pattern::new).collect() }
    }

    /// Whether the function is one. The arguments of a C++ function need not be written.
    pub fn contain(&self, function: &[u8]) -> bool {
        let function = String::from_utf8_lossy(function);
        let name = without_arguments(&function);
        let clone = CLONES.iter().find_map(|ending| name.find(ending));
        let whole = clone.and_then(|at| name.get(..at)).unwrap_or(name);
        self.patterns.iter().any(|pattern| pattern.matches(whole) || pattern.matches(&function))
    }
}

/// `f<int (*)(int)>::g(int) const` → `f<int (*)(int)>::g`.
fn without_arguments(function: &str) -> &str {
    let mut depth = 0_u32;
    for (at, letter) in function.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' if depth == 0 && at > 0 => return function.get(..at).unwrap_or(function),
            _ => {}
        }
    }
    function
}

/// The texts between the `*` of a pattern. Each is looked for once, so a match takes time in proportion to the name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    first: String,
    /// Empty for a pattern without `*`.
    others: Vec<String>,
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        let mut parts = text.split('*').map(str::to_owned);
        Pattern { first: parts.next().unwrap_or_default(), others: parts.collect() }
    }

    fn matches(&self, name: &str) -> bool {
        let Some(mut rest) = name.strip_prefix(self.first.as_str()) else { return false };
        let Some((last, middle)) = self.others.split_last() else { return rest.is_empty() };
        for part in middle {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_known_by_their_whole_name() {
        let wrappers = Wrappers::new(["xmalloc", "tal_alloc_*", "pool::*::take", "*_new"]);
        for name in [
            "malloc",
            "xmalloc",
            "xmalloc.constprop.0",
            "xmalloc.part.1.isra.0",
            "tal_alloc_",
            "tal_alloc_arr_",
            "operator new(unsigned long)",
            "operator new[](unsigned long, std::nothrow_t const&)",
            "std::__new_allocator<std::pair<int, char> >::allocate(unsigned long, void const*)",
            "pool::Big<int (*)(int)>::take(int)",
            "list_new",
            "alloc::raw_vec::finish_grow",
        ] {
            assert!(wrappers.contain(name.as_bytes()), "{name}");
        }
        for name in [
            "xmalloc2",
            "my_malloc",
            "tal_allo",
            "main",
            "???",
            "",
            "pool::take",
            "list_new_",
            "operator delete(void*)",
        ] {
            assert!(!wrappers.contain(name.as_bytes()), "{name}");
        }
    }
}
