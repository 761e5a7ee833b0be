-- What a gateway keeps besides the cleared files (SQLite; postgres.py changes the few words that PostgreSQL has others for). Times are seconds since 1970, in UTC.

-- A branch, a tag or a commit of a repository, and the commit that the hub last said it stands for.
create table names (
    repo text not null,
    revision text not null,
    commit_id text not null,
    checked double precision not null,
    primary key (repo, revision)
) without rowid;

-- What a name has stood for, so that the last cleared commit can be given while the next one is judged.
create table moves (
    repo text not null,
    revision text not null,
    commit_id text not null,
    at double precision not null,
    primary key (repo, revision, commit_id)
) without rowid;

-- One commit of one repository under one policy. state: queued, running, cleared, rejected, failed.
-- cleared_as: the revision that its cleared folder is served as; content: which folder that is;
-- again: of a failure, when it may be tried again (null: never by itself); until: the last day of the exceptions
-- that it was cleared with; owner: which of several gateways judges it.
create table models (
    id integer primary key,
    repo text not null,
    commit_id text not null,
    policy text not null,
    state text not null,
    stage text,
    verdict text,
    sentence text,
    content text,
    cleared_as text,
    report text,
    asked_by text not null,
    asked double precision not null,
    started double precision,
    ended double precision,
    attempts integer not null default 0,
    again double precision,
    until text,
    owner integer,
    unique (repo, commit_id, policy)
);
create index models_by_state on models (state, id);
create index models_to_judge on models (policy, asked_by, attempts, id) where state = 'queued';
create index models_by_revision on models (cleared_as);
create index models_by_content on models (content);

-- What the same bytes were judged to be, whatever they are called.
create table verdicts (
    key text primary key,
    model bigint not null references models (id)
) without rowid;

create table files (
    content text not null,
    path text not null,
    size bigint not null,
    sha256 text not null,
    primary key (content, path)
) without rowid;

-- The findings of a model that are tied to one file's content: those that an exception can cover.
create table findings (
    model bigint not null references models (id),
    finding text not null,
    sha256 text not null,
    severity text not null,
    title text not null,
    location text not null,
    accepted integer not null
);
create index findings_by_model on findings (model);
create index findings_by_file on findings (sha256, finding);

create table exceptions (
    id integer primary key,
    finding text not null,
    sha256 text not null,
    reason text not null,
    until text not null,
    by text not null,
    at double precision not null,
    ended_by text,
    ended double precision
);

create table audit (
    id integer primary key,
    at double precision not null,
    who text not null,
    act text not null,
    about text not null,
    detail text not null
);

-- What gateways share and nobody else may know: what signs the forms of their pages.
create table secrets (
    name text primary key,
    value text not null
);
