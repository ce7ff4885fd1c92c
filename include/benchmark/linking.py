"""Which records are one person's when they share no identifier: Tandem's linkage against Splink as its own pages have
it, and against reading and sorting the records."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb

from include.benchmark.harness import Ratio, Topic, Variant
from include.benchmark.planted_people import PERSON, pairwise, write_people

THREADS, MEMORY = 2, "4GB"
GROWTH = 10
STRICT = 0.9


def prepare(folder: Path, records: int) -> None:
    write_people(folder / "people.parquet", records)
    write_people(folder / "fewer.parquet", records // GROWTH)


def run_linkage(inputs: Path, output: Path, people: str) -> int:
    """All of it with the default rules: records made comparable, the model learned, pairs found, scored and joined."""
    from include.config import load_configuration
    from include.identity.linkage.linking import link_file

    no_settings = output / "settings"
    no_settings.mkdir()
    rules = load_configuration(no_settings).identity
    return link_file(inputs / f"{people}.parquet", rules, output, THREADS, MEMORY).records


def run_splink(inputs: Path, output: Path) -> int:
    """Splink as its tutorial and the examples of its pages build it: comparisons of its library, frequent values
    weighed less, blocking on what persons agree on, u by random sampling and m by expectation and maximisation."""
    import splink.comparison_library as compare
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="node_key",
        blocking_rules_to_generate_predictions=[
            block_on("given_name", "family_name"),
            block_on("birth_date", "given_name"),
            block_on("birth_date", "family_name"),
            block_on("birth_date", "postcode"),
            block_on("family_name", "postcode"),
            block_on("given_name", "postcode"),
            block_on("street", "city"),
            block_on("email"),
            block_on("phone"),
        ],
        comparisons=[
            compare.ForenameSurnameComparison("given_name", "family_name"),
            compare.DateOfBirthComparison("birth_date", input_is_string=True),
            compare.ExactMatch("gender"),
            compare.EmailComparison("email"),
            compare.DamerauLevenshteinAtThresholds("phone", 1),
            compare.JaroWinklerAtThresholds("street", [0.92, 0.8]),
            compare.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
            compare.JaroWinklerAtThresholds("city", [0.88]).configure(term_frequency_adjustments=True),
        ],
    )
    options = {"threads": THREADS, "memory_limit": MEMORY, "temp_directory": str(output / "spill")}
    with duckdb.connect(config=options) as connection:
        connection.execute(f"create table people as from '{inputs / 'people.parquet'}'")
        database = DuckDBAPI(connection=connection)
        linker = Linker(database.register("people"), settings, log_level=None)
        train = linker.training
        train.estimate_probability_two_random_records_match(
            [block_on("given_name", "family_name", "birth_date"), block_on("email")], recall=0.7
        )
        train.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
        for rule in (block_on("given_name", "family_name"), block_on("birth_date")):
            train.estimate_parameters_using_expectation_maximisation(rule)
        found = linker.inference.predict(threshold_match_probability=STRICT)
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(found, STRICT)
        (rows,) = connection.execute(
            f"copy (select node_key, cluster_id as strict_id from {clusters.physical_name})"
            f" to '{output / 'partitions.parquet'}' (format parquet)"
        ).fetchone()
    return rows


def run_floor(inputs: Path, output: Path) -> int:
    """Read, sort by what people are known by, write."""
    with duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY}) as connection:
        (rows,) = connection.execute(
            f"copy (from '{inputs / 'people.parquet'}' order by family_name, given_name, birth_date, node_key)"
            f" to '{output / 'floor.parquet'}' (format parquet)"
        ).fetchone()
    return rows


def tell(output: Path) -> str:
    """How right a variant is: of all pairs of records."""
    partitions = output / "partitions.parquet"
    if not partitions.exists():
        return ""
    precision, recall, _ = pairwise(partitions, PERSON, "strict_id")
    return f"{precision:.4f} right, {recall:.4f} found"


TOPIC = Topic(
    name="linking",
    title="Which records are one person's, by what they say",
    text="Made-up person records (`include/benchmark/planted_people.py`): households of one to four with their family"
    " name, address and landline in common, one to five records of a person, a fifth of the values missing, a tenth"
    " of the names and addresses with a slip. With the default rules; no record shares an identifier that would tie it"
    " beforehand. Splink is set up as its tutorial does. *Right* are of all pairs of records that were put together"
    " those that are one person's, *found* of all that are one person's those that were put together.",
    sizes={"small": 10_000, "medium": 100_000, "large": 1_000_000},
    prepare=prepare,
    tell=tell,
    variants=(
        Variant("linkage", "Tandem's linkage", partial(run_linkage, people="people")),
        Variant("splink", "Splink, set up as its tutorial does", run_splink),
        Variant("floor", "read, sort, write", run_floor),
        Variant("fewer", f"a {GROWTH}th of the records", partial(run_linkage, people="fewer"), rows="fewer"),
    ),
    ratios=(
        Ratio("linkage over Splink", "linkage", "splink"),
        Ratio("linkage over reading and sorting", "linkage", "floor"),
        Ratio(f"{GROWTH} times the records over once", "linkage", "fewer", at_most=GROWTH * 1.15),
    ),
)
