#!/bin/sh
# symbols.sh NM ISA OBJECT...: no object of an instruction set may define a symbol that another one
# could share. The linker keeps one of two equal symbols, perhaps the one that this processor cannot
# run. Everything defined must therefore lie in the build's own namespaces.
nm=$1 isa=$2
shift 2
leaks=$("$nm" -C --defined-only --extern-only "$@" | grep -E '^[0-9a-f]+ [A-Z] ' |
  grep -v -E "Eigen_$isa|attest::reference::$isa|DW\.ref\.__gxx_personality_v0")
[ -z "$leaks" ] && exit 0
echo "symbols of $isa outside its namespaces:"
echo "$leaks"
exit 1
