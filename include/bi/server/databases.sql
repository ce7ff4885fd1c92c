-- What publishing and Superset need in PostgreSQL, from nothing or again: two databases, who writes, who only reads.
-- Run by psql as a superuser; passwords come from the environment.
\getenv publisher_password BI_PUBLISHER_PASSWORD
\getenv reader_password BI_READER_PASSWORD
\getenv superset_password SUPERSET_PASSWORD

select format('create role %I', name) from unnest(array['tandem_reader', 'publisher', 'tandem_bi', 'superset']) as name
where not exists (select from pg_roles where rolname = name)
\gexec

alter role publisher login password :'publisher_password';
alter role tandem_bi login password :'reader_password';
alter role superset login password :'superset_password';
grant tandem_reader to tandem_bi;

select format('create database %I owner %I', name, owner)
from (values ('bi', 'publisher'), ('superset', 'superset')) as wanted (name, owner)
where not exists (select from pg_database where datname = name)
\gexec

-- Who reads may connect to the published tables only.
revoke connect on database airflow, superset from public;
revoke connect on database bi from public;
grant connect on database bi to tandem_reader;
