"""What the server asks its database: to put a question together costs more than to ask it."""

from sqlalchemy import Float, String, bindparam, func, select

from mrgantry.study.database.tables import (
    answers,
    cases,
    decisions,
    displays,
    endings,
    events,
    people,
    sendings,
    sessions,
    trials,
    truths,
)

_reader, _trial = bindparam("reader", type_=String), bindparam("trial", type_=String)
_person = select(people.c.id, people.c.role, people.c.name)
_same = trials.alias()  # trials of the same part
_part = (_same.c.reader == trials.c.reader) & (_same.c.part == trials.c.part)

_relinked = select(decisions.c.person).where(decisions.c.token_hash == bindparam("token"))
OF_TOKEN = _person.add_columns(people.c.token_hash).where(
    (people.c.token_hash == bindparam("token")) | people.c.id.in_(_relinked)
)
IN_SESSION = (
    _person.add_columns(sessions.c.at)
    .join(sessions, sessions.c.person == people.c.id)
    .where(
        sessions.c.secret_hash == bindparam("secret"),
        sessions.c.at > bindparam("since"),
        ~select(endings.c.at).where(endings.c.secret_hash == sessions.c.secret_hash).exists(),
    )
)
READERS = _person.where(people.c.role == "reader").order_by(people.c.name)
EVENTS = select(events).where(events.c.person == bindparam("person")).order_by(events.c.id)

# The latest time that each table knows.
TIMED = (answers, decisions, displays, events, sendings, sessions)
LAST = {table.name: select(func.max(table.c.at)) for table in TIMED}

# Each part of a reader, in order: its number, its answers, its trials.
PARTS = (
    select(trials.c.part, func.count(answers.c.trial), func.count())
    .outerjoin(answers, answers.c.trial == trials.c.id)
    .where(trials.c.reader == _reader)
    .group_by(trials.c.part)
    .order_by(trials.c.part)
)
# A reader's first trial without an answer, and its first sending: who has it sent again has no
# more time for it.
CURRENT = (
    select(
        trials.c.id,
        trials.c.number,
        trials.c.part,
        displays.c.at.label("displayed"),
        select(func.min(_same.c.number)).where(_part).scalar_subquery().label("first"),
        select(func.count(_same.c.id)).where(_part).scalar_subquery().label("of"),
        select(func.min(sendings.c.at))
        .where(sendings.c.trial == trials.c.id)
        .scalar_subquery()
        .label("sent"),
    )
    .select_from(trials)
    .outerjoin(displays, displays.c.trial == trials.c.id)
    .outerjoin(answers, answers.c.trial == trials.c.id)
    .where(trials.c.reader == _reader, answers.c.trial.is_(None))
    .order_by(trials.c.number)
    .limit(1)
)
# What happened to a reader between two times, and the reader's last answer to a first question.
BETWEEN = (
    select(events.c.kind, events.c.at)
    .where(
        events.c.person == _reader,
        events.c.at >= bindparam("begin", type_=Float),
        events.c.at <= bindparam("end", type_=Float),
    )
    .order_by(events.c.id)
)
CHOSEN = (
    select(events.c.detail, events.c.at)
    .where(events.c.person == _reader, events.c.kind == "chosen")
    .order_by(events.c.id.desc())
    .limit(1)
)
PIXELS = (
    select(cases.c.grey, cases.c.height, cases.c.width)
    .join(trials, trials.c.case_id == cases.c.id)
    .where(trials.c.id == _trial)
)
SENT = select(sendings.c.id).where(sendings.c.trial == _trial).limit(1)
ANSWERED = select(answers.c.trial).where(answers.c.trial == _trial, answers.c.reader == _reader)
TRUTH = (
    select(truths.c.truth, truths.c.tumour)
    .join(trials, trials.c.case_id == truths.c.case_id)
    .join(answers, answers.c.trial == trials.c.id)
    .where(trials.c.id == _trial, trials.c.reader == _reader)
)
