# Sourced after common.sh: what README.md shows, to be tried and compared.
# shellcheck shell=bash

# readme_block START LANGUAGE: the first block of code of that language after the line that starts so.
readme_block() {
    local block
    block="$(awk -v start="$1" -v fence="\`\`\`$2" '
        index($0, start) == 1 { found = 1 }
        inside && $0 == "```" { exit }
        inside
        found && $0 == fence { inside = 1 }
    ' "$root/README.md")"
    [[ -n "$block" ]] || { complain "README.md has no $2 block after '$1'"; return 1; }
    printf '%s\n' "$block"
}

# same WHAT EXPECTED SEEN: fails, and shows how they differ, when two texts are not the same.
same() {
    [[ "$2" == "$3" ]] && return 0
    complain "$1 (- expected, + seen):"
    diff -u <(printf '%s\n' "$2") <(printf '%s\n' "$3") | tail -n +3 >&2
    return 1
}

# without_numbers: its input with every number or list of numbers as N, to compare two runs.
without_numbers() { sed -E 's/[0-9]+(\.[0-9]+)*/N/g; s/ +/ /g; s/N( N)+/N/g'; }
