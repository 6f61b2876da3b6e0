CREATE TABLE wallets (user_uuid text PRIMARY KEY);

-- Free space on each page and no index on `remaining`, so that an update stays on its page and
-- writes to no index.
CREATE TABLE packs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_uuid text NOT NULL REFERENCES wallets,
    credits bigint NOT NULL CHECK (credits > 0),
    remaining bigint NOT NULL CHECK (remaining BETWEEN 0 AND credits),
    expired_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX packs_by_expiry ON packs (user_uuid, expired_at, id);

CREATE TABLE charges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_uuid text NOT NULL REFERENCES wallets,
    generation_uuid text NOT NULL,
    trans_type text NOT NULL,
    credits bigint NOT NULL CHECK (credits > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_uuid, generation_uuid)
);

CREATE TABLE allocations (
    charge_id bigint NOT NULL REFERENCES charges,
    pack_id bigint NOT NULL REFERENCES packs,
    credits bigint NOT NULL CHECK (credits > 0),
    PRIMARY KEY (charge_id, pack_id)
);
