{{ config(materialized='ephemeral') }}

-- It is no table: each of the tables after it takes what it keeps, for as long as it may.

{{ consented_events() }}
