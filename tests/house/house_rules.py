"""Rules of the source tree, each a test: house_rules.py RULE SOURCE_ROOT prints what breaks the rule and fails."""

import pathlib
import re
import sys

# Which folders each folder may include from.
MAY_INCLUDE = {
    'core': {'core'},
    'ops': {'core', 'ops'},
    'nn': {'core', 'ops', 'nn'},
    'data': {'core', 'data'},
}
# Headers that are deliberately not installed.
PRIVATE_HEADERS = {
    'core/ancestors.hpp',
    'core/broadcast_reader.hpp',
    'core/buffer_reuse.hpp',
    'core/chain_kernels.hpp',
    'core/evaluation.hpp',
    'core/failure.hpp',
    'core/fold_walk.hpp',
    'core/fusion_plan.hpp',
    'core/group_run.hpp',
    'core/group_steps.hpp',
    'core/group_worker.hpp',
    'core/long_sums.hpp',
    'core/placement.hpp',
    'core/pushed_slices.hpp',
    'core/series_plan.hpp',
    'core/series_run.hpp',
    'core/strided_copy.hpp',
    'core/window.hpp',
    'data/digit_strokes.hpp',
    'nn/along_channels.hpp',
    'nn/audit_diagnosis.hpp',
    'nn/layer_chains.hpp',
    'ops/convolution_kernel.hpp',
    'ops/convolution_onednn.hpp',
    'ops/derivative_comparison.hpp',
    'ops/error_likeness.hpp',
    'ops/finite_differences.hpp',
    'ops/floating_type.hpp',
    'ops/folds.hpp',
    'ops/gemm.hpp',
    'ops/lapack.hpp',
    'ops/localization.hpp',
    'ops/matrix_batches.hpp',
    'ops/matrix_vector.hpp',
    'ops/pooling_kernel.hpp',
    'ops/products.hpp',
    'ops/projections.hpp',
    'ops/recorded_values.hpp',
    'ops/reduction.hpp',
    'ops/reduction_kernel.hpp',
    'ops/sliding_axis.hpp',
    'ops/slope_comparison.hpp',
    'ops/vector_math.hpp',
}
# The one public header that includes a library other than the standard one; hence not part of cotape.hpp.
XTENSOR_HEADER = 'core/xtensor.hpp'
LONGEST_FILE = 350
LONGEST_LINE = 120

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)

    def files(self, folders, *endings):
        for folder in folders:
            for path in sorted((self.root / folder).rglob('*')):
                if path.suffix in endings and path.is_file():
                    yield path.relative_to(self.root).as_posix()

    def text(self, name):
        return (self.root / name).read_text()

    def includes(self, name):
        return [(mark, target) for mark, target in INCLUDE.findall(self.text(name))]

    def listed(self, folder):
        """The file names in a folder's meson.build, list by list."""
        lists = re.findall(r'(?:files|install_headers)\(([^)]*)\)', self.text(f'{folder}/meson.build'))
        return [re.findall(r"'([^']+\.[chp]pp)'", names) for names in lists]

    def public_headers(self):
        for folder in MAY_INCLUDE:
            for names in self.listed(folder):
                yield from (f'{folder}/{name}' for name in names if name.endswith('.hpp'))


def includes_run_one_way(tree):
    for name in tree.files(MAY_INCLUDE, '.hpp', '.cpp'):
        allowed = MAY_INCLUDE[name.split('/')[0]]
        for mark, target in tree.includes(name):
            if mark == '"':
                yield f'{name}: includes "{target}"; write <cotape/folder/file.hpp>'
            elif target.startswith('cotape/') and target.split('/')[1] not in allowed:
                yield f'{name}: may include from {", ".join(sorted(allowed))}, not <{target}>'


def public_headers_include_std_and_cotape_only(tree):
    public = set(tree.public_headers())
    for name in sorted(public - {XTENSOR_HEADER}):
        for _, target in tree.includes(name):
            if target.startswith('cotape/'):
                if target.removeprefix('cotape/') not in public:
                    yield f'{name}: includes <{target}>, which is not installed'
            elif '/' in target or '.' in target:
                yield f'{name}: includes <{target}>, which is neither standard nor ours'


def files_are_short(tree):
    for name in tree.files([*MAY_INCLUDE, 'examples'], '.hpp', '.cpp'):
        lines = len(tree.text(name).splitlines())
        if lines > LONGEST_FILE:
            yield f'{name}: {lines} lines; at most {LONGEST_FILE}'


def lines_are_short(tree):
    for name in tree.files([*MAY_INCLUDE, 'examples'], '.hpp', '.cpp'):
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if len(line) > LONGEST_LINE:
                yield f'{name}:{number}: {len(line)} columns; at most {LONGEST_LINE}'


def no_lazy_xtensor_expression_is_held(tree):
    for name in tree.files([*MAY_INCLUDE, 'examples'], '.hpp', '.cpp'):
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if re.search(r'\bauto\b[^=;]*=\s*xt::(?!adapt\b)', line):
                yield f'{name}:{number}: auto holds a lazy expression, which dangles; name the container'


def nothing_is_unfinished(tree):
    words = re.compile(r'\b(TO' r'DO|FIX' r'ME|X' r'XX)\b')
    for name in tree.files([*MAY_INCLUDE, 'examples', 'tests', 'docs'], '.hpp', '.cpp', '.py', '.sh', '.md', '.build'):
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if words.search(line):
                yield f'{name}:{number}: {line.strip()}'


def every_file_is_listed(tree):
    tests = [f'tests/{folder}' for folder in MAY_INCLUDE]
    for folder in [*MAY_INCLUDE, *tests]:
        lists = tree.listed(folder)
        listed = {f'{folder}/{name}' for names in lists for name in names}
        for name in tree.files([folder], '.hpp', '.cpp'):
            if folder in tests and name.endswith('.hpp'):
                continue
            if name not in listed | PRIVATE_HEADERS:
                yield f'{folder}/meson.build: does not list {name}'
        for name in sorted(listed & PRIVATE_HEADERS):
            yield f'{folder}/meson.build: installs {name}, which is private'
        for names in lists:
            if names != sorted(names):
                yield f'{folder}/meson.build: not sorted: {", ".join(names)}'
    for name in sorted(PRIVATE_HEADERS):
        if not (tree.root / name).exists():
            yield f'tests/house/house_rules.py: {name} is private, but does not exist'


def cotape_hpp_includes_all(tree):
    expected = sorted(f'cotape/{name}' for name in tree.public_headers() if name != XTENSOR_HEADER)
    included = [target for _, target in tree.includes('cotape.hpp')]
    for target in expected:
        if target not in included:
            yield f'cotape.hpp: does not include <{target}>'
    for target in included:
        if target not in expected:
            yield f'cotape.hpp: includes <{target}>, which is no public header'
    if included != sorted(included):
        yield 'cotape.hpp: not sorted'


def main():
    rule, root = sys.argv[1:]
    broken = list(globals()[rule](Tree(root)))
    print(*broken, sep='\n')
    sys.exit(1 if broken else 0)


main()
