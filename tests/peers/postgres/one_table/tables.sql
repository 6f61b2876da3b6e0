-- The table of the old app, as in docs/migration.md. The index by user favours it.
CREATE TABLE credits (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trans_no varchar(255) NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    user_uuid varchar(255) NOT NULL,
    trans_type varchar(50) NOT NULL,
    credits bigint NOT NULL,
    order_no varchar(255),
    expired_at timestamptz
);
CREATE INDEX credits_of_user ON credits (user_uuid);
