"""Next and Previous follow the list that an example was found in, as its page shows it."""

from urllib.parse import parse_qs, urlsplit

import pytest

from kernel_core.findings import disagreement, pairs
from kernel_core.findings.pairs import count_label_pairs, label_mismatches, random_queries, with_label_pair
from pages.ui import lists, load
from tests.support.app import cells, digits_table, open_page, text_of

GOOD = "disagreement:kernel:pixels:majority of 3:5:lowest overlap"
# A page as its address sets it, its grid, and the list that its tiles take along.
SHOWN = [
    ("near_duplicates", {"by": "pixels", "first": 1, "last": 500}, "pairs", "near_duplicates:pixels"),
    ("near_duplicates", {"labels": "different", "first": 1, "last": 500}, "pairs",
     "near_duplicates:kernel:different"),
    ("near_duplicates", {"class": "3", "first": 1, "last": 500}, "pairs", "near_duplicates:kernel::3"),
    ("near_duplicates", {"labels": "same", "class": "8", "first": 1, "last": 500}, "pairs",
     "near_duplicates:kernel:same:8"),
    ("near_duplicates", {"order": "twin", "first": 1, "last": 500}, "pairs", "twins:kernel:twin"),
    ("near_duplicates", {"order": "twin", "pixels_at": 0.7, "class": "3"}, "pairs",
     "twins:kernel:twin:0.7:::3"),
    ("near_duplicates", {"pixels_at": 0.9, "labels": "same", "first": 1, "last": 500}, "pairs",
     "twins:kernel:kernel:0.9::same"),
    ("failure_modes", {"by": "penultimate"}, "failures", "failure_modes:penultimate"),
    ("disagreement", {}, "disagreement", "disagreement:kernel:penultimate:majority of 3:5:lowest overlap"),
    ("disagreement",
     {"by": "pixels", "other": "kernel", "vote": "weighted 20", "k": 9, "class": "9"},
     "disagreement", "disagreement:pixels:kernel:weighted 20:9:lowest overlap:9"),
    ("disagreement", {"by": "penultimate", "other": "kernel", "order": "first wrong, second right"},
     "disagreement", "disagreement:penultimate:kernel:majority of 3:5:first wrong, second right"),
    ("random_examples", {"seed": 7}, "random", "random_examples:7"),
]  # fmt: skip


def query_of(address):
    """The parameters of an address."""
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}


def order_of(results, named, first, count):
    """The first examples that Next leads to in a list, from the one given on."""
    met = [first]
    while len(met) < count:
        met.append(lists.place(results, "test", int(met[-1].split(":")[1]), named).next)
    return met


@pytest.mark.parametrize(("page", "query", "key", "named"), SHOWN)
def test_next_is_the_pages_next(digits, page, query, key, named):
    shown = cells(open_page(page, **query), key)
    names = [f"test:{cell['id']}" for cell in shown]
    tiles = [tile for cell in shown for group in cell["groups"] for tile in group["tiles"]]
    assert {query_of(tile["href"])["list"] for tile in tiles} == {named}
    assert order_of(digits, named, names[0], len(names)) == names
    here = lists.place(digits, "test", shown[0]["id"], named)
    assert (here.position, here.previous) == (1, None)


def test_next_follows_a_pair_of_labels(digits):
    mismatches = label_mismatches(digits.neighbors_by("penultimate"), *digits.labels)
    query, database, count = (int(value) for value in count_label_pairs(mismatches).iloc[0])
    name = f"{digits.class_names[query]} ≠ {digits.class_names[database]}"
    shown = cells(open_page("failure_modes", by="penultimate", labels_differ=name), "failures")
    expected = with_label_pair(mismatches, query, database)["query_index"].tolist()
    asked = query_of(shown[0]["groups"][0]["tiles"][0]["href"])
    assert asked == {"example": f"test:{expected[0]}", "list": f"failure_modes:penultimate:{name}"}
    app = open_page("example", **asked)
    assert f"#1 of {count} in label conflicts by Features \\(cosine\\), {name}" in text_of(app)
    assert app.get_by_key("next").disabled == (count == 1)
    assert order_of(digits, asked["list"], asked["example"], count) == [f"test:{i}" for i in expected]


def test_list_goes_on_beyond_what_the_page_shows(digits):
    """A window of ranks is a place in the ranking, not another list: after its last comes the next rank."""
    ranking = pairs.nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)["query_index"]
    here = lists.place(digits, "test", ranking[77], "near_duplicates:kernel")
    assert (here.position, here.total, here.next) == (78, 500, f"test:{ranking[78]}")
    table = digits_table(digits, second="pixels")
    order = disagreement.select_examples(table, "lowest overlap")["query_index"].tolist()
    app = open_page("example", example=f"test:{order[9]}", list=GOOD)
    assert "#10 of 500 in lowest overlap, by Kernel and Pixels, majority of 3" in text_of(app)
    app.get_by_key("next").click().run()
    assert app.query_params["example"] == f"test:{order[10]}"
    assert app.query_params["list"] == GOOD


@pytest.fixture(autouse=True)
def opened(digits):
    """The pages' caches know the results by their id."""
    load.by_id[digits.id] = digits


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        ":",
        "nonsense",
        "nonsense:kernel",
        "near_duplicates",
        "near_duplicates:",
        "near_duplicates:kernel:other",
        "near_duplicates:kernel:same:cat",
        "near_duplicates:kernel:same:3:4",
        "failure_modes:kernel:3",
        "failure_modes:kernel:3 ≠ 3",
        "disagreement",
        "disagreement:kernel",
        GOOD.replace("pixels", "x"),
        GOOD.replace("of 3", "of 4"),
        GOOD.replace("lowest", "x"),
        *(
            GOOD.replace(":5:", f":{k}:")
            for k in ("", "x", "0", "-1", "51", "1.5", "²", "9" * 30, "9" * 5000)
        ),
        GOOD + ":cat",
        "disagreement:kernel:penultimate-euclidean:weighted 20:5:lowest overlap",
        "random_examples",
        "random_examples:-1",
        "random_examples:x",
        "examples",
        "examples:",
        "examples:cat",
        "examples:test:3-500",
        "examples:3;valid:4",
        "a\x00b:\u2028",
    ],
)
def test_list_that_names_none_is_the_split(digits, wrong):
    here = lists.place(digits, "test", 3, wrong)
    assert (here.position, here.title, here.by) == (4, "the test split", "")
    assert (here.previous, here.next) == ("test:2", "test:4")


def test_list_that_lacks_the_example_is_the_split(digits):
    ten = random_queries(500, 7).tolist()
    outside = next(i for i in range(1, 500) if i not in ten)
    assert lists.place(digits, "test", outside, "random_examples:7").title == "the test split"
    assert lists.place(digits, "train", ten[0], "random_examples:7").title == "the train split"
    assert lists.place(digits, "test", ten[0], "random_examples:7").next == f"test:{ten[1]}"


def test_pair_steps_through_the_filtered_list(digits):
    shown = cells(open_page("near_duplicates", first=1, last=500, **{"class": "3"}), "pairs")
    app = open_page("pair", **query_of(shown[0]["pair"]))
    app.get_by_key("next").click().run()
    assert {name: app.query_params[name] for name in ("a", "b", "list")} == query_of(shown[1]["pair"])


def test_next_walks_chosen_examples_across_splits(digits):
    chosen = "examples:test:7,3-4;train:9;test:0"
    here = lists.place(digits, "test", 4, chosen)
    assert (here.position, here.total, here.title) == (3, 5, "chosen examples")
    assert (here.previous, here.next) == ("test:3", "train:9")
    here = lists.place(digits, "train", 9, chosen)
    assert (here.previous, here.next) == ("test:4", "test:0")
    assert lists.place(digits, "test", 9, chosen).title == "the test split"
    app = open_page("example", example="test:4", list=chosen)
    app.get_by_key("next").click().run()
    assert dict(app.query_params)["example"] == "train:9"
    assert "#4 of 5 in chosen examples" in text_of(app)
