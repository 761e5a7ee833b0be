"""Honest objects of graphs, statistics and language: networkx, statsmodels, gensim and others."""

# mypy: ignore-errors
# ruff: noqa: PLW0108
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dev.pickle_honest.making import tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    Objects = Iterator[tuple[str, Any]]


_TEXTS = ["a cat sat", "a dog ran", "the bird flew", "no cat ran"]


def graphs() -> Objects:
    """networkx."""
    import networkx as nx

    for kind in (nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph):
        graph = kind([(1, 2), (2, 3)])
        graph.graph["name"] = "g"
        graph.add_node("a", weight=1.5)
        yield "empty", kind()
        yield "graph", graph
        _ = graph.nodes, graph.edges, graph.adj, graph.degree
        yield "graph with views", graph
        yield (
            "views",
            [
                graph.nodes,
                graph.edges,
                graph.adj,
                graph.degree,
                graph.nodes.data(),
                graph.edges.data(),
            ],
        )
        yield "subgraph", graph.copy()
        if graph.is_directed():
            _ = (
                graph.succ,
                graph.pred,
                graph.in_edges,
                graph.out_edges,
                graph.in_degree,
                graph.out_degree,
            )
            yield "directed", [graph, graph.in_edges, graph.in_degree, graph.out_degree]


def statistics() -> Objects:
    """statsmodels, lifelines, hmmlearn and surprise: fitted models and their results."""
    for family in (_statsmodels, _lifelines, _hmmlearn, _surprise):
        try:
            yield from family()
        except ImportError as error:
            print(f"# {error}")


def _statsmodels() -> Objects:
    import numpy as np
    import pandas as pd
    import statsmodels.api as sm
    import statsmodels.formula.api as smf
    from statsmodels.tsa import api as tsa

    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "y": rng.rand(60),
            "a": rng.rand(60),
            "b": ["u", "v", "w"] * 20,
            "n": rng.poisson(3, 60),
            "z": [0, 1] * 30,
            "g": list(range(6)) * 10,
        }
    )
    x = sm.add_constant(frame[["a"]])
    dates = pd.Series(rng.rand(60).cumsum(), index=pd.date_range("2020", periods=60, freq="MS"))
    for make in (
        lambda: sm.OLS(frame["y"], x), lambda: sm.OLS(frame["y"].values, x.values), lambda: sm.WLS(frame["y"], x), lambda: sm.GLS(frame["y"], x), lambda: sm.RLM(frame["y"], x),
        lambda: sm.Logit(frame["z"], x), lambda: sm.Probit(frame["z"], x), lambda: sm.MNLogit(frame["g"], x), lambda: sm.Poisson(frame["n"], x), lambda: sm.NegativeBinomial(frame["n"], x),
        lambda: sm.QuantReg(frame["y"], x), lambda: smf.ols("y ~ a + C(b)", frame), lambda: smf.ols("np.log(y + 1) ~ a * n", frame), lambda: smf.logit("z ~ a", frame),
        lambda: smf.glm("n ~ a", frame, family=sm.families.Poisson()), lambda: smf.mixedlm("y ~ a", frame, groups="g"), lambda: smf.poisson("n ~ a", frame), lambda: smf.quantreg("y ~ a", frame),
        *(lambda family=family: sm.GLM(frame["y"] + 0.1, x, family=family()) for family in (sm.families.Gaussian, sm.families.Gamma, sm.families.Tweedie, sm.families.InverseGaussian)),
        *(lambda family=family: sm.GLM(frame["z"], x, family=family()) for family in (sm.families.Binomial, sm.families.Poisson, sm.families.NegativeBinomial)),
        lambda: tsa.ARIMA(dates, order=(1, 1, 1)), lambda: tsa.SARIMAX(dates, order=(1, 0, 0), seasonal_order=(1, 0, 0, 12)), lambda: tsa.AutoReg(dates, 2), lambda: tsa.ExponentialSmoothing(dates, trend="add"),
        lambda: tsa.SimpleExpSmoothing(dates), lambda: tsa.Holt(dates), lambda: tsa.VAR(frame[["y", "a"]]), lambda: tsa.UnobservedComponents(dates, "local level"), lambda: tsa.STL(dates),
        lambda: tsa.ETSModel(dates), lambda: tsa.ARIMA(dates.values, order=(2, 0, 0)), lambda: sm.nonparametric.KDEUnivariate(frame["y"].values),
    ):  # fmt: skip
        model = tried(make)
        fitted = None
        for options in ({"disp": 0}, {}):
            fitted = fitted or tried(lambda options=options, model=model: model.fit(**options))
        yield "model", model
        yield "fitted", fitted
        yield "results", tried(lambda fitted=fitted: fitted._results)
        _ = tried(
            lambda fitted=fitted: (
                fitted.summary(),
                fitted.resid,
                fitted.fittedvalues,
                fitted.cov_params(),
            )
        )
        yield "used", fitted
    yield "decomposed", tsa.seasonal_decompose(dates)


def _lifelines() -> Objects:
    import lifelines
    from lifelines.datasets import load_rossi

    frame = load_rossi().head(60)
    for name in "KaplanMeierFitter NelsonAalenFitter WeibullFitter ExponentialFitter LogNormalFitter LogLogisticFitter BreslowFlemingHarringtonFitter PiecewiseExponentialFitter SplineFitter".split():
        for arguments in ((), ([10.0],)):
            yield (
                name,
                tried(
                    lambda name=name, arguments=arguments: getattr(lifelines, name)(*arguments).fit(
                        frame["week"], frame["arrest"]
                    )
                ),
            )
    for name in "CoxPHFitter WeibullAFTFitter LogNormalAFTFitter LogLogisticAFTFitter AalenAdditiveFitter".split():
        yield (
            name,
            tried(
                lambda name=name: getattr(lifelines, name)(penalizer=0.1).fit(
                    frame, "week", "arrest"
                )
            ),
        )
        yield name, tried(lambda name=name: getattr(lifelines, name)().fit(frame, "week", "arrest"))


def _hmmlearn() -> Objects:
    import numpy as np
    from hmmlearn import hmm

    x = np.random.rand(60, 2)
    for name in "GaussianHMM GMMHMM CategoricalHMM MultinomialHMM PoissonHMM VariationalGaussianHMM VariationalCategoricalHMM".split():
        kind = getattr(hmm, name)
        for data in (x, np.arange(60)[:, None] % 3, np.random.poisson(3, (60, 2))):
            yield name, tried(lambda kind=kind, data=data: kind(2, n_iter=3).fit(data))
            yield (
                name,
                tried(
                    lambda kind=kind, data=data: kind(
                        2, n_iter=3, random_state=np.random.RandomState(1)
                    ).fit(data)
                ),
            )


def _surprise() -> Objects:
    import pandas as pd
    import surprise

    ratings = pd.DataFrame(
        {"u": list("abcd") * 5, "i": list("vwxyz") * 4, "r": [1, 2, 3, 4, 5] * 4}
    )
    data = surprise.Dataset.load_from_df(ratings, surprise.Reader(rating_scale=(1, 5)))
    train = data.build_full_trainset()
    yield "data", [train, data, surprise.Reader()]
    for name in "SVD SVDpp NMF KNNBasic KNNWithMeans KNNWithZScore KNNBaseline BaselineOnly NormalPredictor SlopeOne CoClustering".split():
        made_ = getattr(surprise, name)()
        yield name, tried(lambda made_=made_: made_.fit(train))
        yield name, tried(lambda made_=made_: made_.test(train.build_testset()[:2]))


def language() -> Objects:
    """gensim, nltk and spaCy."""
    for family in (_gensim, _nltk, _spacy):
        try:
            yield from family()
        except ImportError as error:
            print(f"# {error}")


def _gensim() -> Objects:
    from gensim import corpora, models, similarities
    from gensim.models import phrases

    words = [text.split() for text in _TEXTS] * 5
    dictionary = corpora.Dictionary(words)
    corpus = [dictionary.doc2bow(text) for text in words]
    tagged = [models.doc2vec.TaggedDocument(text, [str(at)]) for at, text in enumerate(words)]
    for make in (
        lambda: models.Word2Vec(words, vector_size=4, min_count=1), lambda: models.Word2Vec(words, vector_size=4, min_count=1, hs=1, negative=0, sg=1),
        lambda: models.FastText(words, vector_size=4, min_count=1, bucket=50), lambda: models.Doc2Vec(tagged, vector_size=4, min_count=1),
        lambda: models.LdaModel(corpus, num_topics=2, id2word=dictionary), lambda: models.LsiModel(corpus, num_topics=2, id2word=dictionary),
        lambda: models.TfidfModel(corpus), lambda: models.HdpModel(corpus, dictionary), lambda: models.Phrases(words, min_count=1), lambda: models.OkapiBM25Model(dictionary=dictionary),
        lambda: models.LdaMulticore(corpus, num_topics=2, id2word=dictionary, workers=1), lambda: models.Nmf(corpus, num_topics=2, id2word=dictionary),
        lambda: models.RpModel(corpus, num_topics=2), lambda: models.LogEntropyModel(corpus), lambda: models.NormModel(corpus),
    ):  # fmt: skip
        model = tried(make)
        yield "model", model
        yield "vectors", getattr(model, "wv", None)
        yield "vectors", getattr(model, "dv", None)
    yield "phraser", phrases.Phraser(models.Phrases(words, min_count=1, threshold=0.1))
    yield (
        "phrases",
        models.Phrases(
            words,
            min_count=1,
            threshold=0.1,
            scoring="npmi",
            connector_words=phrases.ENGLISH_CONNECTOR_WORDS,
        ),
    )
    yield "data", [dictionary, corpora.HashDictionary(words), tagged[:1]]
    for name in ("MatrixSimilarity", "SparseMatrixSimilarity"):
        yield (
            "similarity",
            tried(lambda name=name: getattr(similarities, name)(corpus, num_features=20)),
        )
    yield "vectors", models.KeyedVectors(3)


def _nltk() -> Objects:
    import nltk
    from nltk import classify, lm, probability, stem, tag, tokenize, tree

    features = [({"a": 1, "b": True}, "x"), ({"a": 2, "b": False}, "y")] * 5
    sentences = [[("the", "DT"), ("cat", "NN")], [("a", "DT"), ("dog", "NN")]]
    for make in (
        lambda: classify.NaiveBayesClassifier.train(features), lambda: classify.DecisionTreeClassifier.train(features), lambda: classify.MaxentClassifier.train(features, max_iter=2, trace=0),
        lambda: tag.UnigramTagger(sentences), lambda: tag.BigramTagger(sentences, backoff=tag.UnigramTagger(sentences)), lambda: tag.TrigramTagger(sentences), lambda: tag.DefaultTagger("NN"),
        lambda: tag.RegexpTagger([("a", "DT")]), lambda: tag.AffixTagger(sentences), lambda: tag.hmm.HiddenMarkovModelTagger.train(sentences), lambda: tag.PerceptronTagger(load=False),
        lambda: nltk.FreqDist("abca"), lambda: nltk.ConditionalFreqDist([("a", "b")]), lambda: probability.LaplaceProbDist(nltk.FreqDist("ab")), lambda: probability.MLEProbDist(nltk.FreqDist("ab")),
        lambda: probability.ELEProbDist(nltk.FreqDist("ab")), lambda: stem.PorterStemmer(), lambda: stem.SnowballStemmer("english"), lambda: stem.LancasterStemmer(), lambda: stem.WordNetLemmatizer(),
        lambda: tokenize.RegexpTokenizer(r"\w+"), lambda: tokenize.WhitespaceTokenizer(), lambda: tokenize.TweetTokenizer(), lambda: tokenize.TreebankWordTokenizer(), lambda: tokenize.WordPunctTokenizer(),
        lambda: tokenize.PunktSentenceTokenizer(), lambda: tokenize.punkt.PunktTrainer("A cat. A dog. Mr. X.").get_params(), lambda: tree.Tree.fromstring("(S (NP a) (VP b))"), lambda: lm.Vocabulary("ab"),
        lambda: lm.MLE(2), lambda: lm.Laplace(2), lambda: lm.Lidstone(0.1, 2), lambda: lm.KneserNeyInterpolated(2), lambda: lm.NgramCounter([[("a", "b")]]), lambda: nltk.Text(["a"]),
        lambda: nltk.RegexpParser("NP: {<DT><NN>}"), lambda: nltk.CFG.fromstring("S -> 'a'"), lambda: nltk.collocations.BigramCollocationFinder.from_words("abab"),
    ):  # fmt: skip
        yield "item", tried(make)


def _spacy() -> Objects:
    import spacy

    nlp = spacy.blank("en")
    doc = nlp("A cat sat.")
    yield "doc", [doc, nlp.vocab.strings]
    yield "vocabulary", nlp.vocab
    for language_ in ("en", "de", "fr"):
        yield "pipeline", tried(lambda language_=language_: spacy.blank(language_))
