-- Returns whether the charge exists afterwards: false if the wallet has too few credits.
CREATE FUNCTION charge(charged_user text, generation text, cost bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    new_charge bigint;
    pack record;
    missing bigint := cost;
    taken bigint;
BEGIN
    PERFORM FROM wallets WHERE user_uuid = charged_user FOR UPDATE;
    -- Each of these statements sees what was committed before the lock was granted.
    PERFORM FROM charges WHERE user_uuid = charged_user AND generation_uuid = generation;
    IF FOUND THEN
        RETURN true;
    END IF;
    IF cost > (
        SELECT coalesce(sum(remaining), 0) FROM packs
        WHERE user_uuid = charged_user AND remaining > 0 AND expired_at > now()
    ) THEN
        RETURN false;
    END IF;
    INSERT INTO charges (user_uuid, generation_uuid, trans_type, credits)
    VALUES (charged_user, generation, 'anime_generation', cost)
    RETURNING id INTO new_charge;
    FOR pack IN
        SELECT id, remaining FROM packs
        WHERE user_uuid = charged_user AND remaining > 0 AND expired_at > now()
        ORDER BY expired_at, id
    LOOP
        taken := least(missing, pack.remaining);
        UPDATE packs SET remaining = remaining - taken WHERE id = pack.id;
        INSERT INTO allocations (charge_id, pack_id, credits) VALUES (new_charge, pack.id, taken);
        missing := missing - taken;
        EXIT WHEN missing = 0;
    END LOOP;
    RETURN true;
END $$;
